"""Rankers by rating: their gate, and one from tables to lists."""

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow.compute as pc
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.prepare import Data
from belfry.dataset.sources.demo import generate
from belfry.pipeline.jobs.train import train_tables
from belfry.pipeline.progress import silent
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training.ranker_trainer import RankerOf
from belfry.pipeline.training.rating_trainer import RatingRankerTrainer
from belfry.pipeline.training.retrieval_stage import FirstStage
from belfry.ranking.base import EventRanker, Scores
from belfry.ranking.utility import TrainedRatingLabels, TrainedUtilityRanker, UtilityRanker
from tests.pipeline.small_world import config_of, folds_of, quick_stage, show, small_data


@pytest.fixture(scope="module")
def data() -> Data:
    return small_data()


class Knowing:
    """Expects 1 of what was watched at any time and 0 of the rest."""

    def __init__(self, data: Data) -> None:
        self._watched = data.interactions.seen_items

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return self._watched.contains(candidates.user_num, candidates.item_num).astype(np.float32)


class KnowingTrainer(RatingRankerTrainer):
    def __init__(self, data: Data, share: float) -> None:
        super().__init__(data, config_of("random", "ranker.kind=dot_regressor"), seed=0, progress=silent)
        labels = TrainedRatingLabels(cast(EventRanker, Knowing(data)))
        self._ranker = TrainedUtilityRanker(labels, (share,), (1.0,))

    def ranker_of(self, stage: FirstStage) -> TrainedUtilityRanker:
        return self._ranker


def finished(data: Data, share: float) -> tuple[RankerOf | None, Gate]:
    trainer = KnowingTrainer(data, share)
    for fold in folds_of(data, "random"):
        show(trainer, fold, quick_stage(data, fold.history))
    return trainer.finish()


def test_gate_opens_for_labels_that_know_more_than_retrieval(data: Data) -> None:
    ranker_of, gate = finished(data, 1)
    assert gate.is_open
    assert gate.ranker_ndcg is not None
    assert gate.retrieval_ndcg is not None
    assert gate.ranker_ndcg > gate.retrieval_ndcg + 0.1
    assert ranker_of is not None
    ranker = ranker_of(quick_stage(data, data.interactions))
    assert ranker.shares == (1,)
    assert ranker.calibration.slope > 1


@pytest.mark.parametrize("share", [0, -1])
def test_gate_stays_closed_for_labels_without_gain(data: Data, share: float) -> None:
    """The labels say nothing, or the opposite."""
    ranker_of, gate = finished(data, share)
    assert not gate.is_open
    assert ranker_of is None


def test_gate_stays_closed_without_lists(data: Data) -> None:
    ranker_of, gate = KnowingTrainer(data, 1).finish()
    assert ranker_of is None
    assert not gate.is_open
    assert "too few later events to evaluate the ranker by" in gate.reason


def test_a_ranker_by_rating_serves_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little training on little data, so the gate is held open."""
    monkeypatch.setattr(
        "belfry.pipeline.training.rating_trainer.evaluate_gate",
        lambda *lists, **options: Gate(is_open=True, reason="held open"),
    )
    settings = ["retrieval.epochs=2", "retrieval.embedding_size=8", "n_candidates=15", "ranker.kind=dot_regressor"]
    published = train_tables(
        partial(generate, n_users=60, n_items=50, n_watches=1_200, seed=1),
        preset="default",
        holdout="random",
        settings=[*settings, "ranker.epochs=2"],
        seed=0,
        artifacts=tmp_path,
    )
    recommender = Recommender.load(published)
    assert isinstance(recommender.two_stage.ranker, UtilityRanker)
    scores = [result.score for result in recommender.recommend(recommender.users.ids[0].as_py(), 5)]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    deviations = recommender.recommend_many([recommender.users.ids[0].as_py(), 10**9], 5)["rating_deviation"]
    assert 0 < pc.min(deviations).as_py() <= pc.max(deviations).as_py() < 3
    assert 0 < scores[-1] < scores[0] < 1
