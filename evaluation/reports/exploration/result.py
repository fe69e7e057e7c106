"""What there is to see of a run: figures, lists and places alone, which page and JSON tell."""

from dataclasses import dataclass
from typing import Literal

from belfry.dataset.vocabulary import Id
from belfry.evaluation.reports.description.result import Bar, Point


@dataclass(frozen=True)
class Projection:
    """Places of the items on a plane, from 0 to `SIZE`."""

    name: str
    how: str  # it was made
    x: tuple[int, ...]  # [n_items]
    y: tuple[int, ...]

    SIZE = 1000


@dataclass(frozen=True)
class Colouring:
    """A column of the items to colour them by."""

    name: str
    kind: Literal["number", "category"]
    values: tuple[float | None, ...]  # [n_items] numbers; of categories, places in `labels`
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemMap:
    """Items, most watched first: where they lie, and which are most alike."""

    ids: tuple[Id, ...]
    titles: tuple[str | None, ...]
    n_users: tuple[int, ...]  # who watched each
    projections: tuple[Projection, ...]
    colourings: tuple[Colouring, ...]
    neighbours: tuple[tuple[int, ...], ...]  # places of the most similar items, of these
    cosines: tuple[tuple[float, ...], ...]
    n_left_out: int  # items of fewer users, beyond what the map can show


@dataclass(frozen=True)
class Listed:
    """An item in a list."""

    title: str
    score: float
    origin: str
    is_hit: bool  # watched in the test part
    other_rank: int | None  # its place in the other stage's list; None where it has none
    watched: tuple[tuple[str, float], ...] = ()  # title and share of what speaks for the item
    features: tuple[tuple[str, float], ...] = ()  # group and change of the log-odds


@dataclass(frozen=True)
class ShownUser:
    """A user's history beside both stages' lists."""

    user_id: Id
    n_history: int
    n_test: int | None  # None: no later events are known
    history: tuple[str, ...]  # newest titles first
    retrieval: tuple[Listed, ...]
    ranking: tuple[Listed, ...]  # empty where no ranker orders the lists


@dataclass(frozen=True)
class Importance:
    """What a group of features does to the lists."""

    group: str
    effect: float  # mean absolute change of the log-odds of listed items, without it
    loss: float | None  # of NDCG@10 without it, mean over users; None: no later events are known
    error: float | None  # standard error of `loss`


@dataclass(frozen=True)
class Importances:
    """Of all groups, strongest first."""

    n_users: int
    ndcg: float | None
    groups: tuple[Importance, ...]


@dataclass(frozen=True)
class Curve:
    """How a model learned."""

    name: str
    metric: str  # what `validation` holds
    loss: tuple[Point, ...]  # epoch, mean loss of its steps
    validation: tuple[Point, ...]


@dataclass(frozen=True)
class RatedGroup:
    """Pairs of one true rating."""

    true: float
    n: int
    tenth: float
    median: float
    mean: float
    ninetieth: float


@dataclass(frozen=True)
class ExpectedRatings:
    """Ratings as a model expects them, beside the true ones."""

    is_held_out: bool  # else it learned from these very ratings
    n: int
    rmse: float
    rmse_of_mean: float  # of whoever always says the mean
    groups: tuple[RatedGroup, ...]


@dataclass(frozen=True)
class Similarities:
    """Cosines of pairs of items, as shares in bins from -1 to 1."""

    nearest: tuple[Point, ...]  # an item and the one most like it
    of_one_user: tuple[Point, ...]
    random: tuple[Point, ...]


@dataclass(frozen=True)
class TriedSource:
    """A source of candidates, and what the choice saw of it."""

    name: str
    alone: float | None  # mean of recall@100 and NDCG@10 on validation users
    added: float | None
    weight: float | None  # None: left out
    epochs: int | None
    reason: str | None  # for being left out


@dataclass(frozen=True)
class GateSeen:
    """What the gate decided, and by what."""

    is_open: bool
    reason: str
    n_lists: int
    retrieval_ndcg: float | None
    ranker_ndcg: float | None
    difference: tuple[float, float, float] | None  # mean, low, high; NaN where there is no interval


@dataclass(frozen=True)
class Exploration:
    """A run to look at. None: it cannot be told, for a reason in `missing`."""

    name: str
    preset: str
    holdout: str
    created_at: str
    n_users: int
    n_items: int
    n_watches: int
    gate: GateSeen
    sources: tuple[TriedSource, ...]
    together: float | None  # worth of the sources that stay
    index_recall: float | None
    seconds: tuple[Bar, ...]  # CPU seconds of each stage of the training
    curves: tuple[Curve, ...]
    item_map: ItemMap
    similarities: Similarities
    n_listed: int  # places of a list
    users: tuple[ShownUser, ...]
    importances: Importances | None
    ratings: ExpectedRatings | None
    missing: dict[str, str]  # part -> why it is not there
