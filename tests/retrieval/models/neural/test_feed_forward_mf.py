"""FeedForwardMF: the promises, the objective by hand, and ALS as the oracle of where training leads."""

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.interactions import Interactions
from belfry.layers.backend import keras
from belfry.retrieval.config import FeedForwardMFConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.als import ALS, ALSConfig
from belfry.retrieval.models.neural.feed_forward_mf import FeedForwardMF, _batches, _targets
from belfry.retrieval.registry import KINDS
from tests.contracts.checkerboard import Checkerboard, checkerboard, features_of
from tests.contracts.retriever import RetrieverPromises

SHALLOW = FeedForwardMFConfig(embedding_size=4, l2=0.5, batch_users=10, learning_rate=0.1, epochs=40)
DEEP = SHALLOW.model_copy(update={"hidden": (16, 8), "learning_rate": 0.02, "dropout": 0.1})
USERS, ITEMS = np.arange(25, dtype=np.int32), np.arange(13, dtype=np.int32)


@cache
def fitted(config: FeedForwardMFConfig) -> FeedForwardMF:
    board = checkerboard()
    return FeedForwardMF(config).fit(board.history, board.features, seed=0)


@pytest.fixture(scope="module")
def board() -> Checkerboard:
    return checkerboard()


class TestShallowPromises(RetrieverPromises):
    config = SHALLOW

    @pytest.fixture
    def retriever(self, board: Checkerboard) -> IndexedRetriever:
        towers = fitted(self.config)
        return IndexedRetriever(
            towers, ExactIndex.build(towers.encode_candidates(ITEMS[1:], board.features), ITEMS[1:])
        )


class TestDeepPromises(TestShallowPromises):
    config = DEEP


def scores_of(towers: FeedForwardMF | ALS, board: Checkerboard) -> np.ndarray:
    return towers.encode_queries(USERS, board.features) @ towers.encode_candidates(ITEMS, board.features).T


@pytest.mark.parametrize("config", [SHALLOW, DEEP])
def test_equal_seeds_give_equal_vectors_and_a_refit_forgets(config: FeedForwardMFConfig, board: Checkerboard) -> None:
    other = checkerboard(n_users=10, n_items=8)
    again = FeedForwardMF(config).fit(other.history, other.features, seed=3, epochs=1)
    again.fit(board.history, board.features, seed=0)
    np.testing.assert_array_equal(scores_of(again, board), scores_of(fitted(config), board))


@pytest.mark.parametrize("config", [SHALLOW, DEEP])
def test_save_and_load_keep_vectors(config: FeedForwardMFConfig, board: Checkerboard, tmp_path: Path) -> None:
    fitted(config).save(tmp_path)
    loaded = FeedForwardMF.load(tmp_path, board.features)
    assert loaded.config == config
    np.testing.assert_array_equal(scores_of(loaded, board), scores_of(fitted(config), board))


@pytest.mark.parametrize("config", [SHALLOW, DEEP])
def test_the_serving_form_gives_the_same_queries(
    config: FeedForwardMFConfig, board: Checkerboard, tmp_path: Path
) -> None:
    towers = fitted(config)
    towers.export(tmp_path, board.features)
    session = onnxruntime.InferenceSession(tmp_path / "query_tower.onnx")
    assert [given.name for given in session.get_inputs()] == ["user"]
    served = KINDS["feed_forward_mf"].load_towers(tmp_path, config, towers.encode_candidates(ITEMS, board.features))
    for users in (USERS, USERS[7:8], USERS[:0]):
        np.testing.assert_allclose(
            served.encode_queries(users, board.features), towers.encode_queries(users, board.features), atol=1e-6
        )


def test_training_leads_where_als_does(board: Checkerboard) -> None:
    """With weight w of a zero, (1 - s)^2 + w s^2 is (1 + w) (s - c)^2 and a constant, where c = 1 / (1 + w)."""
    alpha, l2 = 9.0, 5.0
    als = ALS(ALSConfig(embedding_size=4, alpha=alpha, l2=l2, epochs=100)).fit(board.history, board.features, seed=0)
    settings = {"unwatched_weight": 1 / alpha, "l2": l2 / (1 + alpha), "batch_users": 24, "epochs": 500}
    towers = FeedForwardMF(SHALLOW.model_copy(update=settings)).fit(board.history, board.features, seed=0)
    np.testing.assert_allclose(scores_of(towers, board), alpha / (1 + alpha) * scores_of(als, board), atol=0.01)


def test_the_first_loss_is_that_of_the_objective(board: Checkerboard) -> None:
    towers = FeedForwardMF(SHALLOW.model_copy(update={"batch_users": 24}))
    keras.utils.set_random_seed(1)
    towers._learned = towers._make_network(board.features)
    scores, matrix = scores_of(towers, board), board.history.matrix.toarray()
    expected = ((1 - scores) ** 2 * matrix).sum() + 0.1 * (scores[1:, 1:] ** 2).sum()
    plan = towers._plan(board.history, board.features, np.random.default_rng(0))
    (loss,) = plan.run_epoch()
    assert float(loss) == pytest.approx(expected / matrix.sum(), rel=1e-5)


def test_batches_hold_every_user_and_target_once(board: Checkerboard) -> None:
    batches = list(_batches(board.history.matrix, SHALLOW, np.random.default_rng(0)))
    assert [len(users) for users, *_ in batches] == [10, 10, 4]
    assert sorted(np.concatenate([users for users, *_ in batches])) == list(range(1, 25))
    found = np.zeros((25, 13))
    for users, items, n_cells, cells, target in batches:
        assert items.tolist() == list(range(1, 13))
        assert (n_cells == 1).all()
        found[users[cells[:, 0]], items[cells[:, 1]]] += target
    np.testing.assert_array_equal(found, board.history.matrix.toarray())


def test_drawn_items_stand_for_the_whole_catalogue(board: Checkerboard) -> None:
    config, generator = SHALLOW.model_copy(update={"n_candidates": 3}), np.random.default_rng(0)
    total = np.zeros(13)
    for _ in range(2000):
        for users, items, n_cells, cells, target in _batches(board.history.matrix, config, generator):
            assert n_cells.sum() == pytest.approx(12)
            assert (board.history.matrix[users].toarray()[cells[:, 0], items[cells[:, 1]]] == target).all()
            total[items] += n_cells
    np.testing.assert_allclose(total[1:] / 6000, 1, atol=0.06)


def rated(*ratings: float | None) -> Interactions:
    """User 1 rates items 1, 2, 1 in this order, user 2 item 3; times run backwards."""
    table = {"user_id": [1, 1, 1, 2], "item_id": [1, 2, 1, 3], "timestamp_s": [9, 8, 7, 6]}
    return Interactions.from_table(pa.table(table | {"rating": pa.array(ratings, pa.float32())}))


def test_ratings_are_shares_of_the_best_the_newest_counts_and_the_unrated_are_left_out() -> None:
    targets = _targets(rated(2, None, 5, 4), "rating")
    assert targets.toarray().tolist() == [[0, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0, 1]]
    assert _targets(rated(0, None, 5, 4), "rating").nnz == 2  # a rating of 0 is a target too


def test_ratings_are_learned() -> None:
    board = checkerboard()
    table = board.history.to_table()
    rating = pa.array(np.where(board.history.item_num % 4 < 2, 1.0, 5.0), pa.float32())
    history = Interactions.from_table(table.append_column("rating", rating))
    config = SHALLOW.model_copy(update={"target": "rating", "unwatched_weight": 0.0, "l2": 0.01, "epochs": 100})
    towers = FeedForwardMF(config).fit(history, features_of(history), seed=0)
    scores = scores_of(towers, board)[history.user_num, history.item_num]
    np.testing.assert_allclose(scores, history.rating / 5, atol=0.1)


@pytest.mark.parametrize("ratings", [None, (None, None, None, None), (0, 0, 0, None)])
def test_ratings_that_are_not_there_are_asked_for_by_name(ratings: tuple[float | None, ...] | None) -> None:
    history = checkerboard().history if ratings is None else rated(*ratings)
    towers = FeedForwardMF(SHALLOW.model_copy(update={"target": "rating"}))
    with pytest.raises(InputError, match=r"target=rating needs a column 'rating'.*set target to watched"):
        towers.fit(history, features_of(history), seed=0)


def test_users_are_known_by_their_id_and_one_without_events_is_zero(board: Checkerboard) -> None:
    assert not KINDS[SHALLOW.kind].reads_history
    history = board.history.select(board.history.user_num != 7)
    towers = FeedForwardMF(SHALLOW).fit(history, features_of(history), seed=0, epochs=2)
    queries = towers.encode_queries(USERS, board.features)
    assert np.flatnonzero(~queries.any(axis=1)).tolist() == [0, 7]


def test_many_users_make_fewer_epochs(board: Checkerboard) -> None:
    towers = FeedForwardMF(SHALLOW.model_copy(update={"max_steps": 7}))
    assert towers.fit(board.history, board.features, seed=0).epochs_trained == 2


def test_a_diverging_loss_stops_training(board: Checkerboard) -> None:
    config = SHALLOW.model_copy(update={"learning_rate": 1e6})
    with pytest.raises(
        DivergenceError, match=r"feed_forward_mf: loss is .* in epoch 1, step 2; lower its learning_rate"
    ):
        FeedForwardMF(config).fit(board.history, board.features, seed=0)


def test_a_loss_that_is_not_finite_names_the_weight(board: Checkerboard) -> None:
    config = SHALLOW.model_copy(update={"learning_rate": 1e38})
    with pytest.raises(DivergenceError, match=r"loss is inf in epoch 1, step 2, and weight '.*table:0' is not finite"):
        FeedForwardMF(config).fit(board.history, board.features, seed=0)


def test_reading_before_fit_is_refused(board: Checkerboard) -> None:
    with pytest.raises(InputError, match=r"feed_forward_mf: not fitted; call fit\(\) or load\(\) first"):
        FeedForwardMF(SHALLOW).encode_queries(board.users, board.features)


def test_users_who_rated_nothing_above_zero_are_no_divergence() -> None:
    history = rated(5, 4, 3, 0)
    config = SHALLOW.model_copy(update={"target": "rating", "batch_users": 1})
    towers = FeedForwardMF(config).fit(history, features_of(history), seed=0)
    assert np.isfinite(towers.encode_queries(np.arange(3, dtype=np.int32), features_of(history))).all()
