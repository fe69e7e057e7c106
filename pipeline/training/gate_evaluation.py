"""Rankers that learn nothing from lists: heads of a first source, and rankers by rating; the gate judges them too."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from belfry.dataset import columns
from belfry.dataset.folds import Fold
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.progress import Progress
from belfry.pipeline.training.ranker_stage import MAX_VALIDATION_USERS, Gate, candidates_for
from belfry.pipeline.training.retrieval_stage import FirstStage, some, users_to_ask
from belfry.ranking.calibration import Calibration
from belfry.ranking.examples import Examples, concatenate, make_examples
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.score_blend import RETRIEVAL
from belfry.ranking.multitask.config import MultitaskConfig, MultitaskRankerConfig
from belfry.ranking.multitask.label_batches import label_column
from belfry.ranking.multitask.model import MultitaskModel
from belfry.ranking.ratings.config import RatingConfig
from belfry.ranking.registry import make_event_ranker
from belfry.ranking.utility import RatingLabels, UtilityRanker, standard_scores

RankerOf: TypeAlias = Callable[[FirstStage], UtilityRanker]

_UTILITY = "utility"
_TOLERANCE = 1.0  # standard errors of NDCG@10 that the labels may cost


class RankerJudge:
    """Gathers lists of folds, each scored by the ranker of that fold's history, and opens or closes the gate."""

    def __init__(self, config: PipelineConfig, ranker_of: RankerOf, *, seed: int) -> None:
        """`ranker_of` gives the ranker that knows what a first stage knows."""
        self._ranker_of, self._config, self._seed = ranker_of, config, seed
        self._lists: list[Examples] = []

    def add(self, fold: Fold, stage: FirstStage) -> None:
        """What retrieval brings for users of a fold, labelled by what it holds back."""
        users = some(users_to_ask(fold), MAX_VALIDATION_USERS, self._seed)
        ranker = self._ranker_of(stage)
        for candidates in candidates_for(users, fold, stage, self._config):
            pairs = np.stack([standard_scores(candidates), ranker.utility(candidates, stage.features)], axis=1)
            lists = Lists.describe(candidates, pairs, (RETRIEVAL, _UTILITY), fold.history)
            if len(examples := make_examples(lists, fold.later)):
                self._lists.append(examples)

    def decide(self) -> tuple[RankerOf | None, Gate]:
        """How the calibrated ranker comes out of a first stage; None where it costs watches, by more than chance."""
        if not self._lists:
            return None, Gate(False, "retrieval brought too few later events to judge by")
        examples = concatenate(self._lists)
        utilities = examples.lists.column(_UTILITY)
        gate = Gate.judge(examples, utilities, seed=self._seed, tolerance=_TOLERANCE)
        if not gate.is_open:
            return None, gate
        calibration = Calibration.fit(utilities, examples.labels > 0)
        return lambda stage: replace(self._ranker_of(stage), calibration=calibration), gate


def ranker_of_stage(config: PipelineConfig, data: Data, *, seed: int, progress: Progress) -> RankerOf | None:
    """How the config's ranker comes out of a first stage; None where it learns from lists, or there is none.

    Raises:
        InputError: the data lack what the ranker learns from.
    """
    if isinstance(config.ranker, MultitaskRankerConfig):
        assert isinstance(config.retrieval, MultitaskConfig)  # the config was checked
        spreads = _spreads(data, [task.column for task in config.retrieval.tasks])
        return partial(_heads_of, config.retrieval.utilities, spreads)
    if isinstance(config.ranker, RatingConfig):
        make_event_ranker(config.ranker).check(data.interactions, data.features(data.interactions))
        spreads = _spreads(data, [columns.RATING])
        return partial(_fit_on, config.ranker, spreads, seed=seed, progress=partial(progress, "ranking"))
    return None


def _spreads(data: Data, names: Sequence[str]) -> tuple[float, ...]:
    """Standard deviations of labels; 1 where all are alike."""
    return tuple(float(np.nanstd(label_column(data.interactions, name, slice(None)))) or 1.0 for name in names)


def _heads_of(shares: tuple[float, ...], spreads: tuple[float, ...], stage: FirstStage) -> UtilityRanker:
    """The heads of the first source, in training form."""
    model = stage.towers.model
    assert isinstance(model, MultitaskModel)
    return UtilityRanker(model, shares, spreads)


def _fit_on(
    config: RatingConfig,
    spreads: tuple[float, ...],
    stage: FirstStage,
    *,
    seed: int,
    progress: Callable[[int, int], None],
) -> UtilityRanker:
    features = stage.features
    ranker = make_event_ranker(config).fit(features.history, features, seed=seed, progress=progress)
    return UtilityRanker(RatingLabels(ranker), (config.utility,), spreads)
