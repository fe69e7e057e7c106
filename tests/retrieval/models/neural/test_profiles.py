"""Autoencoders and the Boltzmann machine on the checkerboard; fits are shared, for each compiles a graph."""

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers
from belfry.retrieval.base import TowerModel
from belfry.retrieval.config import AutoencoderConfig, ProfileConfig, RBMConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.onnx_towers import OnnxTowers
from belfry.retrieval.registry import KINDS, make_towers
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.retriever import RetrieverPromises

DENOISING: ProfileConfig = AutoencoderConfig(embedding_size=8, batch_users=8, learning_rate=0.03, l2=0, epochs=60)
VARIATIONAL: ProfileConfig = AutoencoderConfig(
    variant="variational", hidden=(6,), kl_weight=0.1, embedding_size=8, batch_users=8, learning_rate=0.03, l2=0
)
MACHINE: ProfileConfig = RBMConfig(embedding_size=4, n_rounds=2, l2=0.1, batch_users=8, learning_rate=0.05, epochs=60)
VARIANTS = pytest.mark.parametrize(
    "config", [DENOISING, VARIATIONAL, MACHINE], ids=["denoising", "variational", "machine"]
)


def everything(features: FeatureTables) -> Numbers:
    return np.arange(len(features.history.items) + 1, dtype=np.int32)


@cache
def fitted(config: ProfileConfig) -> tuple[TowerModel, FeatureTables]:
    board = checkerboard()
    return make_towers(config).fit(board.history, board.features, seed=0), board.features


class TestDenoisingPromises(RetrieverPromises):
    config = DENOISING

    @pytest.fixture
    def retriever(self) -> IndexedRetriever:
        towers, features = fitted(self.config)
        items = everything(features)[1:]
        return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))


class TestVariationalPromises(TestDenoisingPromises):
    config = VARIATIONAL


class TestMachinePromises(TestDenoisingPromises):
    config = MACHINE


@VARIANTS
def test_the_last_dimension_carries_the_bias_and_the_unknown_item_is_zero(config: ProfileConfig) -> None:
    towers, features = fitted(config)
    queries = towers.encode_queries(np.arange(25, dtype=np.int32), features)
    candidates = towers.encode_candidates(everything(features), features)
    assert queries.dtype == candidates.dtype == np.float32
    assert (queries[:, -1] == 1).all()
    assert np.ptp(candidates[1:, -1]) > 0
    assert not candidates[0].any()


@VARIANTS
def test_the_serving_form_gives_the_same_queries(config: ProfileConfig, tmp_path: Path) -> None:
    """Short, empty and repeated histories, the unknown user, and nobody."""
    towers, features = fitted(config)
    history = features.history
    rows = np.flatnonzero((np.arange(len(history)) % 3 > 0) & (history.user_num != 4))
    later = features_of(history.select(np.append(rows, rows[:30])))
    towers.export(tmp_path, features)
    served = KINDS[config.kind].load_towers(tmp_path, config, towers.encode_candidates(everything(features), features))
    assert isinstance(served, OnnxTowers)
    for users in (np.array([7, 0, 4, 3, 24], np.int32), np.array([4], np.int32), np.zeros(0, np.int32)):
        expected = towers.encode_queries(users, later)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(served.encode_queries(users, later), expected, atol=1e-5)
    (read,) = onnxruntime.InferenceSession(tmp_path / "query_tower.onnx").get_inputs()
    assert read.name == "history"


@VARIANTS
def test_a_user_alone_equals_their_row_in_a_batch(config: ProfileConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    towers, features = fitted(config)
    asked = np.array([5, 0, 24, 1, 5], np.int32)
    batch = towers.encode_queries(asked, features)
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 1)
    np.testing.assert_allclose(towers.encode_queries(asked, features), batch, atol=1e-5)
    assert not np.allclose(batch[0], batch[2], atol=1e-3)


@VARIANTS
def test_save_and_load_keep_embeddings(config: ProfileConfig, tmp_path: Path) -> None:
    towers, features = fitted(config)
    users = np.arange(25, dtype=np.int32)
    towers.save(tmp_path)
    loaded = type(towers).load(tmp_path, features)  # type: ignore[attr-defined]  # training forms are loaded by tests
    np.testing.assert_array_equal(loaded.encode_queries(users, features), towers.encode_queries(users, features))
    np.testing.assert_array_equal(
        loaded.encode_candidates(everything(features), features),
        towers.encode_candidates(everything(features), features),
    )


@VARIANTS
def test_a_refit_forgets_and_equals_a_fresh_fit(config: ProfileConfig) -> None:
    towers, features = fitted(config)
    other, users = checkerboard(n_users=10, n_items=8), np.arange(25, dtype=np.int32)
    again = make_towers(config).fit(other.history, other.features, seed=3, epochs=1)
    again.fit(features.history, features, seed=0)
    np.testing.assert_array_equal(again.encode_queries(users, features), towers.encode_queries(users, features))


@VARIANTS
def test_fresh_watches_count_without_a_refit(config: ProfileConfig) -> None:
    """User 1 has watched odd items; in other tables nothing, or even ones: scores follow."""
    towers, features = fitted(config)
    history = features.history
    one, rows = np.array([1], np.int32), np.flatnonzero(history.user_num == 2)
    nothing = features_of(history.select(history.user_num != 1))
    even = features_of(Interactions(history.users, history.items, np.ones(len(rows), np.int32), history.item_num[rows]))
    candidates = towers.encode_candidates(everything(features), features)[1:]
    is_even = np.arange(1, 13) % 2 == 0

    def lead(tables: FeatureTables) -> float:
        scores = candidates @ towers.encode_queries(one, tables)[0]
        return float(scores[is_even].mean() - scores[~is_even].mean())

    assert lead(features) < 0 < lead(even)
    assert lead(features) < lead(nothing) < lead(even)


@VARIANTS
def test_early_stopping_keeps_the_best_weights(config: ProfileConfig) -> None:
    board = checkerboard()
    verdicts, kept = iter([0.1, 0.7, 0.2, 0.3]), []

    def validate(towers: TowerModel) -> float:
        kept.append(towers.encode_queries(board.users, board.features))
        return next(verdicts)

    patient = config.model_copy(update={"patience": 2, "evaluations": 60})
    towers = make_towers(patient).fit(board.history, board.features, seed=0, validate=validate)  # type: ignore[arg-type]
    assert towers.epochs_trained == 2
    np.testing.assert_array_equal(towers.encode_queries(board.users, board.features), kept[1])


@VARIANTS
def test_a_diverging_loss_stops_training(config: ProfileConfig) -> None:
    board = checkerboard()
    wild = config.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(DivergenceError, match=r"loss is .* in epoch \d+, step \d+.*; lower its learning_rate"):
        make_towers(wild).fit(board.history, board.features, seed=0)


@VARIANTS
def test_a_catalogue_above_the_limit_is_refused(config: ProfileConfig) -> None:
    board = checkerboard()
    small = config.model_copy(update={"max_items": 11})
    with pytest.raises(InputError, match=r"12 items are above \w+'s max_items=11: every user in every step scores"):
        make_towers(small).fit(board.history, board.features, seed=0)


@VARIANTS
def test_a_history_of_nothing_is_refused(config: ProfileConfig) -> None:
    board = checkerboard()
    empty = board.history.select(np.zeros(0, np.int64))
    with pytest.raises(InputError, match="interactions: no known user has watched a known item"):
        make_towers(config).fit(empty, features_of(empty), seed=0)


@VARIANTS
def test_reading_before_fit_is_refused(config: ProfileConfig) -> None:
    board = checkerboard()
    with pytest.raises(InputError, match=r"not fitted; call fit\(\) or load\(\) first"):
        make_towers(config).encode_queries(board.users, board.features)
