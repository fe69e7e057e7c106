"""What a Recommender answers: named tuples, in the caller's ids."""

from typing import NamedTuple

from belfry.dataset.vocabulary import Id
from belfry.pipeline.serving.two_stage import COLD


class Watched(NamedTuple):
    """A watched item that speaks for the one in the list."""

    item_id: Id
    title: str | None
    share: float  # of all that speaks for the item in the user's history, 0 to 1


class Effect(NamedTuple):
    """A group of features, and how it moved an item within the list."""

    feature: str  # in words
    change: float  # of the log-odds, against the mean of the candidates; for cold users of the log of watches


class Explanation(NamedTuple):
    """What carried an item, strongest first, three of each at most; neither part adds up to the score."""

    watched: tuple[Watched, ...]  # none for cold users
    features: tuple[Effect, ...]  # none where no ranker orders the lists


class Recommendation(NamedTuple):
    """One place of a list."""

    rank: int  # 1-based
    item_id: Id
    title: str | None
    score: float  # falls with rank; a probability where the ranker orders the list, else comparable within it only
    origin: str  # the source that brought the item; "cold" where nothing is known of the user's taste
    because: Explanation | None = None  # where it was asked for

    @property
    def is_cold(self) -> bool:
        return self.origin == COLD


class SimilarItem(NamedTuple):
    """An item and how like it is to the one asked for."""

    rank: int  # 1-based
    item_id: Id
    title: str | None
    similarity: float  # -1 to 1


class SimilarUser(NamedTuple):
    """A user and how like their taste is to that of the one asked for."""

    rank: int  # 1-based
    user_id: Id
    similarity: float  # -1 to 1
