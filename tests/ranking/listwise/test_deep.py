"""DeepRanker: every kind of network keeps the promises of a ranker of lists; objectives, members, epochs."""

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belfry.dataset.errors import DivergenceError
from belfry.layers.training import train_epochs
from belfry.ranking.example_store import ExampleStore
from belfry.ranking.listwise.config import (
    AttentionRankerConfig,
    CrossRankerConfig,
    DeepRankerConfig,
    NetworkRankerConfig,
    NeuralMfRankerConfig,
    TransformerRankerConfig,
    WideDeepRankerConfig,
)
from belfry.ranking.listwise.deep import DeepRanker
from belfry.ranking.listwise.ensemble import Ensemble
from belfry.ranking.listwise.serving import OnnxRanker
from tests.contracts.ranker import (
    LEARNED,
    LISTS,
    N_ITEMS,
    N_USERS,
    VALIDATION,
    ListRankerPromises,
    fitted,
    taught_examples,
    with_pairs,
)

FAST = {
    "members": 1,
    "epochs": 10,  # of one step each
    "evaluations": 10,
    "min_steps": 1,
    "batch_lists": 64,
    "learning_rate": 0.05,
    "dropout": 0.1,
}
TINY = DeepRankerConfig(widths=(8,), **FAST)


class NetworkPromises(ListRankerPromises):
    config: NetworkRankerConfig

    @classmethod
    def unfitted(cls) -> DeepRanker:
        return DeepRanker(cls.config)


class TestDeepRankerPromises(NetworkPromises):
    config = TINY


class TestEnsemblePromises(NetworkPromises):
    config = TINY.model_copy(update={"members": 2})


class TestCrossRankerPromises(NetworkPromises):
    config = CrossRankerConfig(widths=(8,), cross_layers=1, projection_size=2, embedding_size=2, **FAST)


class TestWideDeepRankerPromises(NetworkPromises):
    config = WideDeepRankerConfig(widths=(8,), embedding_size=2, **FAST)


class TestNeuralMfRankerPromises(NetworkPromises):
    config = NeuralMfRankerConfig(widths=(8,), embedding_size=4, **FAST)
    reads_features = False


class TestAttentionRankerPromises(NetworkPromises):
    config = AttentionRankerConfig(widths=(8,), embedding_size=2, attention_units=4, **FAST)


class TestTransformerRankerPromises(NetworkPromises):
    config = TransformerRankerConfig(size=8, n_blocks=1, n_heads=2, inducing_points=2, **FAST)
    scores_alone = False


@pytest.mark.parametrize("objective", ["binary", "squared", "bpr", "hinge", "softmax", "approx_ndcg", "lambda"])
def test_every_objective_teaches_the_order(objective: str) -> None:
    """In batches of unequal length, graded labels where the objective knows them."""
    graded = replace(LEARNED, labels=LEARNED.labels * (1 if objective in ("bpr", "hinge") else np.float32(0.75)))
    config = TINY.model_copy(update={"objective": objective, "batch_lists": 16})
    ranker = fitted(DeepRanker(config), graded)
    assert VALIDATION.ndcg(ranker.score_lists(VALIDATION.lists)).mean() > 0.9


def test_the_weights_of_the_best_epoch_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    validation = taught_examples(20, seed=1, noise=0.7)
    caplog.set_level(logging.INFO, "belfry.layers.training")
    ranker = fitted(DeepRanker(TINY.model_copy(update={"learning_rate": 0.3})), LEARNED, validation=validation)
    looks = [float(record.message.rpartition(" ")[2]) for record in caplog.records]
    assert len(looks) == TINY.epochs
    assert looks[-1] < max(looks)
    kept = validation.ndcg(ranker.score_lists(validation.lists)).mean()
    assert kept == pytest.approx(max(looks), abs=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        WideDeepRankerConfig(widths=(8,), embedding_size=2, **FAST),
        TransformerRankerConfig(size=8, n_blocks=1, n_heads=2, inducing_points=2, **FAST),
    ],
    ids=lambda config: config.kind,
)
def test_a_student_scores_as_the_members_do_in_the_mean(
    config: NetworkRankerConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[Ensemble] = []

    def kept(network: Ensemble, *arguments: Any, **named: Any) -> Any:
        trained.append(network)
        return train_epochs(network, *arguments, **named)

    monkeypatch.setattr("belfry.ranking.listwise.deep.train_epochs", kept)
    told: list[tuple[int, int]] = []
    ranker = DeepRanker(config.model_copy(update={"members": 2})).fit(
        LEARNED, seed=0, validation=VALIDATION, n_users=N_USERS, n_items=N_ITEMS, progress=lambda *at: told.append(at)
    )
    members, student = trained
    rows, present = LISTS.padded_rows(np.arange(len(LISTS)))
    one, other = members(LISTS.inputs(np.arange(len(LISTS)), rows, present, members.reads)).numpy()[:, present]
    assert np.abs(one - other).max() > 0.01
    assert ranker.learned is student
    assert len(student.members) == 1
    wanted, scores = (one + other) / 2, ranker.score_lists(LISTS)
    assert np.square(scores - wanted).mean() < 0.02 * wanted.var()
    assert told == [(done, 20) for done in range(1, 21)]
    ranker.save(tmp_path)
    np.testing.assert_array_equal(DeepRanker.load(tmp_path).score_lists(LISTS), scores)


@pytest.mark.parametrize(
    ("bounds", "n_epochs"),
    [({"max_steps": 1}, 1), ({"max_steps": 5}, 2), ({"max_steps": 1000}, 10), ({"min_steps": 47}, 12)],
)
def test_few_lists_make_more_epochs_and_many_fewer(bounds: dict[str, int], n_epochs: int) -> None:
    """60 lists are four steps of 16."""
    told: list[tuple[int, int]] = []
    config = TINY.model_copy(update={"batch_lists": 16, **bounds})
    DeepRanker(config).fit(
        LEARNED, seed=0, validation=VALIDATION, n_users=N_USERS, n_items=N_ITEMS, progress=lambda *at: told.append(at)
    )
    assert told[-1] == (n_epochs, n_epochs)


def test_a_refit_takes_other_features_and_ids() -> None:
    few = replace(LEARNED, lists=replace(LISTS, pairs=LISTS.pairs[:, :2], names=LISTS.names[:2]))
    config = WideDeepRankerConfig(widths=(4,), embedding_size=2, **FAST | {"epochs": 1})
    ranker = DeepRanker(config).fit(few, seed=3, validation=few, n_users=500, n_items=400)
    again, fresh = fitted(ranker, LEARNED), fitted(DeepRanker(config), LEARNED)
    assert again.names == LISTS.names
    np.testing.assert_array_equal(again.score_lists(LISTS), fresh.score_lists(LISTS))


def test_a_cross_ranker_without_embeddings(tmp_path: Path) -> None:
    config = CrossRankerConfig(widths=(4,), cross_layers=1, projection_size=2, embedding_size=0, **FAST)
    ranker = fitted(DeepRanker(config), LEARNED)
    ranker.export(tmp_path)
    np.testing.assert_allclose(OnnxRanker(tmp_path).score_lists(LISTS), ranker.score_lists(LISTS), atol=1e-5)


def test_scores_of_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = fitted(DeepRanker(TINY.model_copy(update={"epochs": 1})), LEARNED)
    ranker.export(tmp_path)
    served = OnnxRanker(tmp_path)
    whole = ranker.score_lists(LISTS)
    for module in ("deep", "serving"):
        monkeypatch.setattr(f"belfry.ranking.listwise.{module}._ROWS_PER_BLOCK", 17)
    assert len(list(LISTS.blocks(17))) > 20
    np.testing.assert_allclose(ranker.score_lists(LISTS), whole, atol=1e-5)
    np.testing.assert_allclose(served.score_lists(LISTS), whole, atol=1e-5)


def test_learning_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with closing(ExampleStore(limit_bytes=0)) as store:
        for places in np.array_split(np.arange(len(LEARNED)), 3):
            store.add(LEARNED.select(places))
        assert list(tmp_path.iterdir())  # nothing is held in memory
        ranker = DeepRanker(TINY).fit(store, seed=0, validation=VALIDATION, n_users=N_USERS, n_items=N_ITEMS)
    assert VALIDATION.ndcg(ranker.score_lists(VALIDATION.lists)).mean() > 0.9


def test_features_that_tell_rows_apart_nowhere_are_no_harm() -> None:
    flat = with_pairs(LEARNED, np.full_like(LISTS.pairs, 7))
    ranker = fitted(DeepRanker(TINY.model_copy(update={"epochs": 1})), flat)
    assert len(np.unique(ranker.score_lists(flat.lists))) == 1


@pytest.mark.parametrize("objective", ["softmax", "binary"])
def test_a_loss_that_is_not_finite_stops_training(objective: str) -> None:
    config = TINY.model_copy(update={"learning_rate": 1e38, "objective": objective})
    with pytest.raises(
        DivergenceError, match=r"ranker: loss is (nan|inf) in epoch \d, step 1.*; lower its learning_rate"
    ):
        fitted(DeepRanker(config), LEARNED)


def test_a_learning_rate_far_too_high() -> None:
    """Training stops and says why, or ends with scores that are numbers."""
    try:
        ranker = fitted(DeepRanker(TINY.model_copy(update={"learning_rate": 1e6})), LEARNED)
    except DivergenceError as error:
        assert "ranker: loss is" in str(error)
    else:
        assert np.isfinite(ranker.score_lists(LISTS)).all()
