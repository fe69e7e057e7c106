"""Rankers that learn nothing from lists: heads of a first source, and rankers by rating; the gate judges them too."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from pipeline.config import PipelineConfig, has_heads
from pipeline.data import Data
from pipeline.first_stage import FirstStage, some, users_to_ask
from pipeline.holdout import Fold
from pipeline.progress import Progress
from pipeline.second_stage import MOST_VALIDATION_USERS, Gate
from ranking.base import EventRanker, Ranker
from ranking.examples import Examples, concatenate, make_examples
from ranking.lists import Lists
from ranking.multitask import MultitaskModel
from ranking.rating_config import RatingConfig
from ranking.systems import make_event_ranker

RankerOf: TypeAlias = Callable[[FirstStage], Ranker]

_COLUMNS = ("score", "opinion")  # retrieval's of a candidate, and the ranker's


class RankerJudge:
    """Gathers lists of folds, each scored by the ranker of that fold's history, and opens or closes the gate."""

    def __init__(self, config: PipelineConfig, ranker_of: RankerOf, *, seed: int) -> None:
        """`ranker_of` gives the ranker that knows what a first stage knows."""
        self.ranker_of = ranker_of
        self._config, self._seed = config, seed
        self._lists: list[Examples] = []

    def add(self, fold: Fold, stage: FirstStage) -> None:
        """What retrieval brings for users of a fold, labelled by what it holds back."""
        users = some(users_to_ask(fold), MOST_VALIDATION_USERS, self._seed)
        candidates = stage.retriever.retrieve(
            users, stage.features, top_k=self._config.n_candidates, exclude=fold.history.seen_items
        )
        opinion = self.ranker_of(stage).score(candidates, stage.features)
        pairs = np.stack([candidates.score, opinion], axis=1)
        examples = make_examples(Lists.describe(candidates, pairs, _COLUMNS, fold.history), fold.later)
        if len(examples):
            self._lists.append(examples)

    @property
    def gate(self) -> Gate:
        if not self._lists:
            return Gate(False, "retrieval brought too few later events to judge by")
        lists = concatenate(self._lists)
        return Gate.judge(lists, lists.lists.column("opinion"), seed=self._seed)


def ranker_of_stage(config: PipelineConfig, data: Data, *, seed: int, progress: Progress) -> RankerOf | None:
    """How the config's ranker comes out of a first stage; None where it learns from lists, or there is none.

    Raises:
        InputError: the data lack what the ranker learns from.
    """
    if has_heads(config):
        return _heads_of
    if isinstance(config.ranker, RatingConfig):
        make_event_ranker(config.ranker).check(data.interactions, data.features(data.interactions))
        return partial(_fit_on, config.ranker, seed=seed, progress=partial(progress, "ranking"))
    return None


def _heads_of(stage: FirstStage) -> Ranker:
    """The heads of the first source, in training form."""
    model = stage.towers.model
    assert isinstance(model, MultitaskModel)  # the config was checked
    return model


def _fit_on(config: RatingConfig, stage: FirstStage, *, seed: int, progress: Callable[[int, int], None]) -> EventRanker:
    features = stage.features
    return make_event_ranker(config).fit(features.history, features, seed=seed, progress=progress)
