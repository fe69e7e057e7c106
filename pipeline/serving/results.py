"""What a Recommender gives: named tuples, in the caller's ids."""

from typing import NamedTuple

from belfry.dataset.vocabulary import Id

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
    """

    watched: tuple[Watched, ...]  # none for cold users
    features: tuple[Effect, ...]  # none where no ranker orders the lists


class Recommendation(NamedTuple):
    """One place of a list.

    Where a ranker orders the list, `score` is a probability. A list longer than what the ranker orders
    (`n_candidates`) goes on in retrieval's order: those items have the origin "unranked", and as score minus their
    place in that order, which is below every probability. In cold lists, and where no ranker orders the list, scores
    compare within the list only.
    """

    rank: int  # 1-based
    item_id: Id
    title: str | None
    score: float  # never rises with rank
    origin: str  # the source that brought the item, such as "two_tower"; or "cold", or "unranked"
    because: Explanation | None = None  # where it was asked for
    expected_rating: float | None = None  # on the scale of the data; where a model of the run expects ratings
    rating_deviation: float | None = None  # standard deviation of the rating, where that model knows one

    @property
    def is_cold(self) -> bool:
        return self.origin == COLD


class SimilarItem(NamedTuple):
    """An item and how similar it is to the one asked for."""

    rank: int  # 1-based
    item_id: Id
    title: str | None
    similarity: float  # cosine, -1 to 1


class SimilarUser(NamedTuple):
    """A user and how similar their history is to that of the one asked for."""

    rank: int  # 1-based
    user_id: Id
    similarity: float  # cosine, -1 to 1
