"""What a Recommender gives: lists of named tuples and tables, in the caller's ids."""

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pyarrow as pa

from belfry.dataset.errors import needed
from belfry.dataset.vocabulary import Id

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Row = TypeVar("Row", bound=NamedTuple)

ROWS_SHOWN = 20  # of a table in a notebook

# Origins that name no source.
COLD = "cold"  # by popularity: the user has no history
UNRANKED = "unranked"  # behind the depth that the ranker orders: it never saw the item


class Watched(NamedTuple):
    """A watched item that counts in favour of the one in the list."""

    item_id: Id
    title: str | None
    share: float  # of all that the user's history counts in favour, 0 to 1


class Effect(NamedTuple):
    """A group of features, and how it moved an item within the list."""

    feature: str  # in words
    change: float  # of the log-odds, against the mean of the candidates; for cold users of the log of watches


class Explanation(NamedTuple):
    """What carried an item, strongest first, three of each at most; neither part adds up to the score.

    Both parts are empty for an unranked item.

    Examples:
        >>> from belfry import recommend
        >>> place = recommend(42, 1, explain=True)[0]
        >>> max(one.share for one in place.because.watched) <= 1
        True
    """

    watched: tuple[Watched, ...]  # none for cold users
    features: tuple[Effect, ...]  # none where no ranker orders the lists

    def __str__(self) -> str:
        watched = [f"{one.title or one.item_id} {one.share:.0%}" for one in self.watched]
        return ", ".join([*watched, *(f"{effect.feature} {effect.change:+.2f}" for effect in self.features)])


class Recommendation(NamedTuple):
    """One place of a list.

    Where a ranker orders the list, `score` is a probability. A list longer than what the ranker orders
    (`n_candidates`) goes on in retrieval's order: those items have the origin "unranked", and as score minus their
    place in that order, which is below every probability. In cold lists, and where no ranker orders the list, scores
    compare within the list only.

    Examples:
        >>> from belfry import Recommendation
        >>> Recommendation(1, 50, "Brazil", 0.2, "cold").is_cold
        True
    """

    rank: int  # 1-based
    item_id: Id
    title: str | None
    score: float  # never rises with rank
    origin: str  # the source that brought the item, such as "two_tower"; or "cold", or "unranked"
    because: Explanation | None = None  # where it was asked for
    expected_rating: float | None = None  # on the scale of the data; where a model of the run expects ratings
    propensity: float | None = None  # chance that this list holds the item; where rules explore
    rating_deviation: float | None = None  # standard deviation of the rating, where that model knows one

    @property
    def is_cold(self) -> bool:
        return self.origin == COLD


class SimilarItem(NamedTuple):
    """An item and how similar it is to the one asked for.

    Examples:
        >>> from belfry import Recommender
        >>> first = Recommender.load("artifacts").similar_items(50, 1)[0]
        >>> first.rank, first.item_id != 50
        (1, True)
    """

    rank: int  # 1-based
    item_id: Id
    title: str | None
    similarity: float  # cosine, -1 to 1


class SimilarUser(NamedTuple):
    """A user and how similar their history is to that of the one asked for.

    Examples:
        >>> from belfry import Recommender
        >>> Recommender.load("artifacts").similar_users(42, 1)[0].rank
        1
    """

    rank: int  # 1-based
    user_id: Id
    similarity: float  # cosine, -1 to 1


class ResultList(list[Row]):
    """A list of named tuples that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        from belfry.dataset.notebooks.html import html_table

        if not self:
            return "<p>nothing</p>"
        shown = [name for name in self[0]._fields if any(getattr(row, name) is not None for row in self)]
        return html_table(shown, ([getattr(row, name) for name in shown] for row in self))


class RecommendationTable:
    """The lists of many users: a row for each place, in Arrow, with a way to pandas and to Polars.

    Whatever reads Arrow's C streams takes it as it is: `pyarrow.table(lists)`, `polars.DataFrame(lists)`, DuckDB. It
    has whatever a `pyarrow.Table` has: `lists["item_id"]`, `lists.num_rows`, `lists.schema`.

    Examples:
        >>> from belfry import Recommender
        >>> lists = Recommender.load("artifacts").recommend_many([42, 196], 3)
        >>> len(lists), sorted(set(lists["user_id"].to_pylist()))
        (6, [42, 196])
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def to_arrow(self) -> pa.Table:
        """The `pyarrow.Table`, for what takes nothing else, such as `pyarrow.parquet.write_table`.

        Examples:
            >>> from belfry import Recommender
            >>> lists = Recommender.load("artifacts").recommend_many([42], 3)
            >>> lists.to_arrow().num_rows
            3
        """
        return self._table

    def to_pandas(self) -> "pd.DataFrame":
        """A DataFrame of pandas.

        Examples:
            >>> lists = Recommender.load("artifacts").recommend_many([42], 3)
            >>> lists.to_pandas().shape
            (3, 5)
        """
        frame: pd.DataFrame = self._table.to_pandas()
        return frame

    def to_polars(self) -> "pl.DataFrame":
        """A DataFrame of Polars, without a copy of what it can share.

        Raises:
            InputError: Polars is not installed.

        Examples:
            >>> lists = Recommender.load("artifacts").recommend_many([42], 3)
            >>> lists.to_polars().shape
            (3, 5)
        """
        frame: pl.DataFrame = needed("polars", "polars", "to_polars").from_arrow(self._table)
        return frame

    def equals(self, other: "RecommendationTable | pa.Table", check_metadata: bool = False) -> bool:
        """Whether both hold the same rows and columns.

        Examples:
            >>> lists = Recommender.load("artifacts").recommend_many([42], 3)
            >>> lists.equals(lists.to_arrow())
            True
        """
        other = other.to_arrow() if isinstance(other, RecommendationTable) else other
        return bool(self._table.equals(other, check_metadata=check_metadata))

    def __eq__(self, other: object) -> bool:
        return self.equals(other) if isinstance(other, RecommendationTable | pa.Table) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of an Arrow table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, column: str | int) -> pa.ChunkedArray:
        return self._table[column]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also what copying and pickling look for before there is a table
            raise AttributeError(name)
        return getattr(self._table, name)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"{type(self).__name__}\n{self._table}"

    def _repr_html_(self) -> str:
        from belfry.dataset.notebooks.html import html_table

        rows = (list(row.values()) for row in self._table.slice(0, ROWS_SHOWN).to_pylist())
        caption = f"{len(self):,} rows" + (f", the first {ROWS_SHOWN} of them" if len(self) > ROWS_SHOWN else "")
        return html_table(self._table.column_names, rows, caption=caption)
