"""DeepRanker, by both objectives."""

import logging
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import DivergenceError
from ranking.config import DeepRankerConfig
from ranking.deep import DeepRanker
from ranking.examples import Examples
from ranking.serving import OnnxScorer
from tests.contracts.ranker import LEARNED, RankerPromises, taught_examples

TINY = DeepRankerConfig(widths=(8,), batch_lists=16, epochs=8, learning_rate=0.03, dropout=0.1)


class TestDeepRankerPromises(RankerPromises):
    config = TINY

    @classmethod
    def unfitted(cls) -> DeepRanker:
        return DeepRanker(cls.config)

    def diverging(self) -> DeepRanker:
        return DeepRanker(self.config.model_copy(update={"learning_rate": 1e6}))

    def served(self, graph: Path) -> OnnxScorer:
        return OnnxScorer(graph)


class TestBinaryDeepRankerPromises(TestDeepRankerPromises):
    config = TINY.model_copy(update={"objective": "binary", "batch_lists": 8})


class TestCrossedDeepRankerPromises(TestDeepRankerPromises):
    config = TINY.model_copy(update={"cross_layers": 1, "projection_size": 2})


def test_the_weights_of_the_best_epoch_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    validation = taught_examples(20, seed=1, noise=0.7)
    caplog.set_level(logging.INFO, "ranking.deep")
    ranker = DeepRanker(TINY).fit(LEARNED, seed=0, validation=validation)
    looks = [float(record.message.rpartition(" ")[2]) for record in caplog.records]
    assert len(looks) == TINY.epochs
    kept = validation.ndcg(ranker.score_pairs(validation.pairs)).mean()
    assert kept == pytest.approx(max(looks), abs=1e-4)


def test_progress_is_told_of_every_epoch() -> None:
    told: list[tuple[int, int]] = []
    config = TINY.model_copy(update={"epochs": 3})
    DeepRanker(config).fit(LEARNED, seed=0, validation=LEARNED, progress=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_scores_of_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = DeepRanker(TINY.model_copy(update={"epochs": 1})).fit(LEARNED, seed=0, validation=LEARNED)
    ranker.export(tmp_path / "ranker.onnx")
    served = OnnxScorer(tmp_path / "ranker.onnx")
    whole = ranker.score_pairs(LEARNED.pairs)
    monkeypatch.setattr("ranking.deep._ROWS_PER_BLOCK", 7)
    monkeypatch.setattr("ranking.serving._ROWS_PER_BLOCK", 7)
    np.testing.assert_allclose(ranker.score_pairs(LEARNED.pairs), whole, atol=1e-5)
    np.testing.assert_allclose(served.score_pairs(LEARNED.pairs), whole, atol=1e-5)


def test_a_column_that_tells_rows_apart_nowhere_is_no_harm() -> None:
    constant = np.full_like(LEARNED.pairs, 7)
    flat = Examples(constant, LEARNED.names, LEARNED.labels, LEARNED.starts, LEARNED.users, LEARNED.n_relevant)
    ranker = DeepRanker(TINY.model_copy(update={"epochs": 1})).fit(flat, seed=0, validation=flat)
    assert len(np.unique(ranker.score_pairs(constant))) == 1


@pytest.mark.parametrize("objective", ["softmax", "binary"])
def test_a_loss_that_is_not_finite_stops_training(objective: str) -> None:
    config = TINY.model_copy(update={"learning_rate": 1e38, "objective": objective})
    with pytest.raises(DivergenceError, match=r"ranker: loss is (nan|inf) in epoch \d; lower ranker.learning_rate"):
        DeepRanker(config).fit(LEARNED, seed=0, validation=LEARNED)
