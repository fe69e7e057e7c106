"""Rankers that learn nothing from lists: heads of a first source, and rankers by rating; the gate judges them too."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.data import Data
from pipeline.first_stage import FirstStage, some, users_to_ask
from pipeline.holdout import Fold
from pipeline.progress import Progress
from pipeline.second_stage import MOST_VALIDATION_USERS, Gate, candidates_for
from ranking.base import EventRanker, Ranker
from ranking.blended import BlendedRanker, standard_scores
from ranking.examples import Examples, concatenate, make_examples
from ranking.lists import Lists
from ranking.multitask import MultitaskModel
from ranking.multitask_config import MultitaskRankerConfig
from ranking.opinion import RETRIEVAL, Opinion
from ranking.rating_config import RatingConfig
from ranking.systems import make_event_ranker

RankerOf: TypeAlias = Callable[[FirstStage], Ranker]

_COLUMNS = (RETRIEVAL, "standard_own")  # standard scores of a candidate: retrieval's, and the ranker's


class RankerJudge:
    """Gathers lists of folds, each scored by the ranker of that fold's history, and opens or closes the gate."""

    def __init__(self, config: PipelineConfig, ranker_of: RankerOf, *, seed: int) -> None:
        """`ranker_of` gives the ranker that knows what a first stage knows."""
        self._ranker_of = ranker_of
        assert config.ranker  # else there is nothing to judge
        self._retrieval_weight = config.ranker.retrieval_weight
        self._config, self._seed = config, seed
        self._lists: list[Examples] = []

    def add(self, fold: Fold, stage: FirstStage) -> None:
        """What retrieval brings for users of a fold, labelled by what it holds back."""
        users = some(users_to_ask(fold), MOST_VALIDATION_USERS, self._seed)
        ranker = self._ranker_of(stage)
        for candidates in candidates_for(users, fold, stage, self._config):
            own, retrieval = ranker.score(candidates, stage.features), candidates.score
            pairs = np.stack([standard_scores(candidates, scores) for scores in (retrieval, own)], axis=1)
            examples = make_examples(Lists.describe(candidates, pairs, _COLUMNS, fold.history), fold.later)
            if len(examples):
                self._lists.append(examples)

    def decide(self) -> tuple[RankerOf | None, Gate]:
        """How the blended ranker comes out of a first stage; None where it orders lists no better than retrieval does.

        The same lists decide how much retrieval's opinion counts, which favours the ranker by a little.
        """
        if not self._lists:
            return None, Gate(False, "retrieval brought too few later events to judge by")
        examples = concatenate(self._lists)
        retrieval, own = (examples.lists.column(name) for name in _COLUMNS)
        opinion = Opinion.fit(own, examples, retrieval_weight=self._retrieval_weight)
        gate = Gate.judge(examples, opinion(own, retrieval), seed=self._seed)
        return (lambda stage: BlendedRanker(self._ranker_of(stage), opinion)) if gate.is_open else None, gate


def ranker_of_stage(config: PipelineConfig, data: Data, *, seed: int, progress: Progress) -> RankerOf | None:
    """How the config's ranker comes out of a first stage; None where it learns from lists, or there is none.

    Raises:
        InputError: the data lack what the ranker learns from.
    """
    if isinstance(config.ranker, MultitaskRankerConfig):
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
