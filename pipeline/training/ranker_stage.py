"""Train the ranker on held-back events, and decide whether it may order the lists."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.folds import Fold
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.intervals import Interval, paired_intervals
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.training.retrieval_stage import FirstStage, some, users_to_ask
from belfry.ranking.base import ListRanker, Scores
from belfry.ranking.example_store import ExampleStore
from belfry.ranking.examples import Examples, concatenate, make_examples, split_by_user, validation_users
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.config import ListConfig
from belfry.ranking.listwise.feature_ranker import FeaturedRanker
from belfry.ranking.listwise.score_blend import RETRIEVAL, ScoreBlend
from belfry.ranking.registry import make_list_ranker

MAX_VALIDATION_USERS = 2_000
USERS_PER_BLOCK = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gate:
    """Whether the ranker may order the lists: only where it does well beside retrieval's order on validation users."""

    is_open: bool
    reason: str
    n_lists: int = 0
    retrieval_ndcg: float | None = None  # NDCG@10 over the validation lists
    ranker_ndcg: float | None = None
    difference: Interval | None = None

    @classmethod
    def judge(cls, validation: Examples, scores: Scores, *, seed: int, tolerance: float = 0) -> Self:
        """By NDCG@10 of validation lists in retrieval's order and by `scores` [n_rows].

        Args:
            tolerance: standard errors of the difference that `scores` may cost, for what else they are worth.
        """
        before, after = validation.ndcg(validation.lists.column(RETRIEVAL)), validation.ndcg(scores)
        difference = paired_intervals(before[:, None], after[:, None], seed=seed)[0]
        allowed = tolerance * (after - before).std() / np.sqrt(len(validation))
        is_open = bool(difference.mean > -allowed)
        verdict = "better" if difference.mean > 0 else "not clearly worse" if is_open else "no better"
        reason = f"the ranker is {verdict} than retrieval's order on validation users"
        log.info("gate: %s, NDCG@10 %.4f, was %.4f (%d lists)", reason, after.mean(), before.mean(), len(validation))
        return cls(is_open, reason, len(validation), float(before.mean()), float(after.mean()), difference)


@dataclass(frozen=True)
class SecondStage:
    """A trained ranker of lists, and what is made of its scores."""

    ranker: ListRanker
    opinion: ScoreBlend
    names: tuple[str, ...]  # of the features that it reads

    def after(self, config: PairFeaturesConfig, stage: FirstStage) -> FeaturedRanker:
        """As it answers, with the statistics of the history that a first stage knows."""
        pair_features = PairFeatures.fit(stage.features, config)
        return FeaturedRanker(pair_features, self.ranker, self.opinion, self.names)


class ExampleCollector:
    """Gathers the lists of all folds: those to learn from in a store, and those to validate on."""

    def __init__(
        self, data: Data, config: PipelineConfig, ranker: ListConfig, learned: ExampleStore, *, n_folds: int, seed: int
    ) -> None:
        users = np.unique(data.interactions.user_num)
        held_back = validation_users(users, share=ranker.validation_share, seed=seed)
        self.held_back = some(held_back, MAX_VALIDATION_USERS, seed)
        self.learned = learned
        self._validation: list[Examples] = []
        self._config, self._ranker, self._seed = config, ranker, seed
        self._max_lists = -(-config.max_lists // n_folds)

    def add(self, fold: Fold, stage: FirstStage) -> None:
        """What retrieval brings for users of a fold, labelled by what it holds back."""
        users = users_to_ask(fold)
        is_held_back = np.isin(users, self.held_back)
        drawn = some(users[~is_held_back], self._max_lists, self._seed)
        for examples in self._examples(fold, stage, np.union1d(drawn, users[is_held_back])):
            to_learn, to_validate = split_by_user(examples, self.held_back)
            self.learned.add(to_learn)
            if len(to_validate):
                self._validation.append(to_validate)

    @property
    def validation(self) -> Examples | None:
        return concatenate(self._validation) if self._validation else None

    def _examples(self, fold: Fold, stage: FirstStage, users: UserNums) -> Iterator[Examples]:
        pair_features = PairFeatures.fit(stage.features, self._config.pair_features)
        for candidates in candidates_for(users, fold, stage, self._config):
            pairs = pair_features.matrix(candidates, stage.features)
            names = pair_features.names(stage.features, candidates.sources)
            lists = Lists.describe(candidates, pairs, names, fold.history)
            yield make_examples(lists, fold.later, self._ranker.label, liked_from=self._ranker.liked_from)


def candidates_for(users: UserNums, fold: Fold, stage: FirstStage, config: PipelineConfig) -> Iterator[Candidates]:
    """What a ranker will be handed, from a first stage that knows the history of a fold; some users at a time."""
    for first in range(0, len(users), USERS_PER_BLOCK):
        block = users[first : first + USERS_PER_BLOCK].astype(np.int32)
        yield stage.retriever.retrieve(
            block, stage.features, top_k=config.n_candidates, exclude=fold.history.seen_items
        )


def train_ranker(
    examples: ExampleCollector, config: ListConfig, data: Data, *, seed: int, progress: Callable[[int, int], None]
) -> tuple[SecondStage | None, Gate]:
    """A ranker fitted on most users' lists, and whether it orders the others' better than retrieval does.

    The same users decide when training stops, how much retrieval's opinion counts and whether the gate opens, which
    favours the ranker by a little.
    """
    validation = examples.validation
    if not len(examples.learned) or validation is None:
        return None, Gate(False, "retrieval brought too few later events to learn from")
    ranker = make_list_ranker(config).fit(
        examples.learned,
        seed=seed,
        validation=validation,
        n_users=len(data.interactions.users),
        n_items=len(data.interactions.items),
        progress=progress,
    )
    scores = ranker.score_lists(validation.lists)
    opinion = ScoreBlend.fit(scores, validation, retrieval_weight=config.retrieval_weight)
    gate = Gate.judge(validation, opinion(scores, validation.lists.column(RETRIEVAL)), seed=seed)
    return SecondStage(ranker, opinion, validation.lists.names), gate
