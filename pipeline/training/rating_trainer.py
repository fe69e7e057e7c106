"""RatingRankerTrainer: rankers that learn from the ratings of a history, and nothing from lists."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np

from belfry.dataset import columns
from belfry.dataset.folds import Fold, sample_users
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import ranker_kind
from belfry.pipeline.progress import Progress
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.training.gate_evaluation import LABEL_TOLERANCE, MAX_VALIDATION_USERS, evaluate_gate
from belfry.pipeline.training.ranker_trainer import Observed, RankerOf, candidates_for
from belfry.pipeline.training.retrieval_stage import FirstStage
from belfry.ranking.calibration import Calibration
from belfry.ranking.examples import Examples, concatenate, make_examples
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.score_blend import RETRIEVAL
from belfry.ranking.multitask.label_batches import label_spread
from belfry.ranking.ratings.config import RatingRankerConfig
from belfry.ranking.utility import TrainedRatingLabels, TrainedUtilityRanker, standard_scores

_UTILITY = "utility"


class RatingRankerTrainer:
    """Fits a ranker on the history of each first stage; lists of folds are for the calibration and the gate."""

    def __init__(self, data: Data, config: PipelineConfig, *, seed: int, progress: Progress) -> None:
        """Raises InputError: the data lack ratings."""
        self._config, self._seed, self._progress = config, seed, partial(progress, "ranking")
        self._ranker_config = cast(RatingRankerConfig, config.ranker)
        self._kind = ranker_kind(self._ranker_config)
        untrained = self._kind.make_event_ranker(self._ranker_config)
        untrained.check(data.interactions, data.features(data.interactions))
        self._spread = label_spread(data.interactions, columns.RATING)
        self._lists: list[Examples] = []

    def ranker_of(self, stage: FirstStage) -> TrainedUtilityRanker:
        """The ranker that knows what a first stage knows, not yet calibrated."""
        features = stage.features
        ranker = self._kind.make_event_ranker(self._ranker_config).fit(
            features.history, features, seed=self._seed, progress=self._progress
        )
        return TrainedUtilityRanker(TrainedRatingLabels(ranker), (self._ranker_config.utility,), (self._spread,))

    def n_folds(self, first: Fold) -> int:
        """Two: they are for the gate alone."""
        return 2

    def observe(self, fold: Fold, stage: FirstStage, *, n_folds: int) -> Iterator[Observed]:
        """What retrieval brings for users of a fold, labelled by what it holds back."""
        users = sample_users(fold.users, MAX_VALIDATION_USERS, seed=self._seed)
        ranker = self.ranker_of(stage)
        for candidates in candidates_for(users, fold, stage, n_candidates=self._config.n_candidates):
            pairs = np.stack([standard_scores(candidates), ranker.utility(candidates, stage.features)], axis=1)
            lists = Lists.describe(candidates, pairs, (RETRIEVAL, _UTILITY), fold.history)
            yield Observed(make_examples(lists, fold.later), is_validation=True)

    def add(self, observed: Observed) -> None:
        """Keep lists for the end."""
        if len(observed.examples):
            self._lists.append(observed.examples)

    def finish(self) -> tuple[RankerOf | None, Gate]:
        """The calibrated ranker; none where it costs watches, by more than chance."""
        if not self._lists:
            return None, Gate(is_open=False, reason="retrieval brought too few later events to evaluate the ranker by")
        examples = concatenate(self._lists)
        utilities = examples.lists.column(_UTILITY)
        gate = evaluate_gate(examples, utilities, seed=self._seed, tolerance=LABEL_TOLERANCE)
        if not gate.is_open:
            return None, gate
        calibration = Calibration.fit(utilities, examples.labels > 0)
        return lambda stage: replace(self.ranker_of(stage), calibration=calibration), gate

    def close(self) -> None:
        """Forget the lists; nothing is kept outside of memory."""
        self._lists.clear()
