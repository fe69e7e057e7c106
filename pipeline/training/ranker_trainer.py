"""RankerTrainer: what training asks of every family of rankers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.folds import Fold
from belfry.dataset.vocabulary import UserNums
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.training.retrieval_stage import FirstStage
from belfry.ranking.base import TrainedRanker
from belfry.ranking.context.choices import Choices
from belfry.ranking.examples import Examples

USERS_PER_BLOCK = 1_000

RankerOf: TypeAlias = Callable[[FirstStage], TrainedRanker]  # the ranker that knows the history of a first stage


@dataclass(frozen=True)
class Observed:
    """Lists of some users of a fold."""

    examples: Examples
    is_validation: bool = False  # else they are to be learned from
    are_newcomers: bool = False  # after their first watches: neither
    later_share: float = 1.0  # of newcomers, as in `Fold`
    choices: Choices | None = None  # among validation lists, where events have a context


class RankerTrainer(Protocol):
    """Looks at folds one by one, then gives a ranker. Its constructor refuses data that it cannot learn from."""

    def n_folds(self, first: Fold) -> int:
        """How many folds it needs, where they are like this one; called once, before `observe`."""

    def observe(self, fold: Fold, stage: FirstStage, *, n_folds: int) -> Iterator[Observed]:
        """What `stage`, which knows the history of a fold alone, brings of what it holds back; one of `n_folds`."""

    def add(self, observed: Observed) -> None:
        """Learn from what was observed, here or in another process; in the order of the folds."""

    def finish(self) -> tuple[RankerOf | None, Gate]:
        """How the ranker comes out of a first stage, or None without one to use; and whether it may order lists."""

    def close(self) -> None:
        """Let go of what was kept of the folds."""


class NoRankerTrainer:
    """Of a config without a ranker: one fold is enough, for the weights of the sources."""

    def n_folds(self, first: Fold) -> int:
        return 1

    def observe(self, fold: Fold, stage: FirstStage, *, n_folds: int) -> Iterator[Observed]:
        yield from ()

    def add(self, observed: Observed) -> None:
        pass

    def finish(self) -> tuple[None, Gate]:
        return None, Gate(is_open=False, reason="the preset has no second stage")

    def close(self) -> None:
        pass


def candidates_for(users: UserNums, fold: Fold, stage: FirstStage, *, n_candidates: int) -> Iterator[Candidates]:
    """What a ranker will be handed, from a first stage that knows the history of a fold; some users at a time."""
    for first in range(0, len(users), USERS_PER_BLOCK):
        block = users[first : first + USERS_PER_BLOCK].astype(np.int32)
        yield stage.retriever.retrieve(block, stage.features, top_k=n_candidates, exclude=fold.exclude)
