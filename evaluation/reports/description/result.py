"""The description of a data set: figures alone, which page and JSON tell."""

from dataclasses import dataclass
from typing import TypeAlias

from belfry.dataset.validation.features.table import ColumnUse

Point: TypeAlias = tuple[float, float]
Bar: TypeAlias = tuple[str, float]


@dataclass(frozen=True)
class Shape:
    """How much there is."""

    n_rows: int  # of interactions, as they were handed in
    n_watches: int  # of which a model learns
    n_doubles: int  # rows dropped because they repeat an earlier one
    n_pairs: int  # of a user and an item they have watched
    n_impressions: int  # pairs that were only shown
    n_dislikes: int
    n_users: int
    n_items: int
    n_users_without: int  # known by their row alone: nothing watched
    n_items_without: int

    @property
    def density(self) -> float:
        """Share of all pairs of a user and an item that were watched."""
        return self.n_pairs / max(1, self.n_users * self.n_items)

    @property
    def n_repeats(self) -> int:
        """Watches of what their user had watched before."""
        return self.n_watches - self.n_pairs


@dataclass(frozen=True)
class Spread:
    """How a count is spread over users, or over items; those with none are left out."""

    n: int
    mean: float
    smallest: int
    tenth: float  # a tenth has at most so many
    median: float
    ninetieth: float
    largest: int
    n_few: int  # with fewer than `FEW`
    histogram: tuple[Bar, ...]  # range of counts -> how many have so many
    curve: tuple[Point, ...]  # share of them, those with most first -> their share of all watches
    top_share: float  # of all watches, that the first hundredth has

    FEW = 5


@dataclass(frozen=True)
class Popular:
    """An item of many users."""

    item_id: int | str
    title: str | None
    n_users: int


@dataclass(frozen=True)
class Ratings:
    """What users thought of what they watched."""

    n: int
    n_without: int  # watches without one
    mean: float
    deviation: float
    user_deviation: float  # of the users' means
    histogram: tuple[Bar, ...]


@dataclass(frozen=True)
class Years:
    """When the items came out."""

    column: str  # where the years were found
    n_without: int  # items
    items: tuple[Point, ...]  # year -> share of the items
    watches: tuple[Point, ...]  # year -> share of the watches


@dataclass(frozen=True)
class TopValues:
    """The commonest values of one column of the items, or of the users."""

    table: str
    column: str
    n_values: int
    shares: dict[str, tuple[float, float]]  # value -> share of the rows, and of the watches


@dataclass(frozen=True)
class Sessions:
    """Watches of one user without a longer pause between them."""

    gap_s: int  # a longer pause ends a session
    n: int
    mean_length: float
    share_single: float  # of the sessions, with one watch
    share_of_users_with_one: float
    share_same_second: float  # of the watches, at the very second of the one before


@dataclass(frozen=True)
class Times:
    """When things were watched, UTC."""

    first_s: int
    last_s: int
    unit: str  # of `counts`: "day", "week" or "month"
    counts: tuple[Point, ...]  # begin of the unit, in UTC milliseconds -> watches
    hours: tuple[Bar, ...]  # of the day
    sessions: Sessions


@dataclass(frozen=True)
class Cold:
    """What would be new in the newest part of the watches."""

    share_newest: float  # of the watches, that this part is
    begins_s: int
    watches_of_new_users: float  # share of that part
    watches_of_new_items: float
    watches_of_either: float


@dataclass(frozen=True)
class Measure:
    """One figure of the older and the newer half, and how far two random halves would differ."""

    name: str
    older: float
    newer: float
    difference: float
    by_chance: float
    form: str  # "count", "share" or "number"


@dataclass(frozen=True)
class Drift:
    """What changed between the older and the newer half of the watches."""

    begins_s: int  # of the newer half
    measures: tuple[Measure, ...]
    moved: float  # share of the watches that would have to go to another item to make both halves alike
    moved_by_chance: float
    n_common_top: int  # of the 50 items that most users watched in one half, that are among those of the other
    n_common_top_by_chance: int

    TOP = 50


@dataclass(frozen=True)
class Advice:
    """One choice for the training of these data."""

    option: str
    choice: str
    why: str


@dataclass(frozen=True)
class Description:
    """What the tables hold, how they would be read, and what fits them. None: the data cannot tell."""

    name: str
    created_at: str  # UTC, ISO 8601
    errors: tuple[str, ...]  # training would refuse by these
    notes: tuple[str, ...]
    columns: tuple[ColumnUse, ...]
    advice: tuple[Advice, ...] = ()
    shape: Shape | None = None  # None: the tables could not be read
    histories: Spread | None = None
    popularity: Spread | None = None
    popular: tuple[Popular, ...] = ()
    ratings: Ratings | None = None
    years: Years | None = None
    values: tuple[TopValues, ...] = ()
    times: Times | None = None
    cold: Cold | None = None
    drift: Drift | None = None
