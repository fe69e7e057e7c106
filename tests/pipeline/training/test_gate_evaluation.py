"""The gate of rankers that learn nothing from lists, and a ranker by rating from tables to lists."""

from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.prepare import Data
from belfry.dataset.sources.demo import generate
from belfry.pipeline.jobs.train import train_tables
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training.gate_evaluation import RankerJudge, RankerOf
from belfry.pipeline.training.ranker_stage import Gate
from belfry.ranking.base import Matrix, Scores
from belfry.ranking.examples import Examples
from belfry.ranking.utility import UtilityRanker
from tests.pipeline.small_world import config_of, folds_of, quick_stage, small_data


@pytest.fixture(scope="module")
def data() -> Data:
    return small_data()


class Knowing:
    """Expects 1 of what was watched at any time and 0 of the rest."""

    def __init__(self, data: Data) -> None:
        self._watched = data.interactions.seen_items

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        return self._watched.contains(candidates.user_num, candidates.item_num).astype(np.float32)[:, np.newaxis]


def judged(data: Data, share: float) -> tuple[RankerOf | None, Gate]:
    ranker = UtilityRanker(Knowing(data), (share,), (1.0,))
    judge = RankerJudge(config_of("random", "ranker.kind=dot_regressor"), lambda _: ranker, seed=0)
    for fold in folds_of(data, "random"):
        judge.add(fold, quick_stage(data, fold.history))
    return judge.decide()


def test_who_knows_more_than_retrieval_opens_the_gate(data: Data) -> None:
    ranker_of, gate = judged(data, 1)
    assert gate.is_open
    assert gate.ranker_ndcg is not None
    assert gate.retrieval_ndcg is not None
    assert gate.ranker_ndcg > gate.retrieval_ndcg + 0.1
    assert ranker_of is not None
    ranker = ranker_of(quick_stage(data, data.interactions))
    assert ranker.shares == (1,)
    assert ranker.calibration.slope > 1


@pytest.mark.parametrize("share", [0, -1])
def test_who_knows_no_more_keeps_it_closed(data: Data, share: float) -> None:
    """The labels say nothing, or the opposite."""
    ranker_of, gate = judged(data, share)
    assert not gate.is_open
    assert ranker_of is None


def test_nothing_to_judge_by_keeps_it_closed(data: Data) -> None:
    ranker = UtilityRanker(Knowing(data), (1,), (1.0,))
    ranker_of, gate = RankerJudge(config_of("random"), lambda _: ranker, seed=0).decide()
    assert ranker_of is None
    assert not gate.is_open
    assert "too few later events to judge by" in gate.reason


def test_a_ranker_by_rating_serves_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little training on little data, so the gate is held open."""

    def judge(validation: Examples, scores: Scores, *, seed: int, tolerance: float) -> Gate:
        return Gate(True, "held open")

    monkeypatch.setattr(Gate, "judge", judge)
    settings = ["retrieval.epochs=2", "retrieval.embedding_size=8", "n_candidates=15", "ranker.kind=dot_regressor"]
    published = train_tables(
        generate(n_users=60, n_items=50, n_watches=1_200, seed=1),
        preset="default",
        holdout="random",
        settings=[*settings, "ranker.epochs=2"],
        seed=0,
        artifacts=tmp_path,
    )
    recommender = Recommender.load(published)
    assert isinstance(recommender.two_stage.ranker, UtilityRanker)
    scores = [answer.score for answer in recommender.recommend(recommender.users.ids[0].as_py(), 5)]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] < scores[0] < 1
