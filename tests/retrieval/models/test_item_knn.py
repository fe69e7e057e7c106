import numpy as np
import pytest
import scipy.sparse as sp

from belfry.dataset import similarity
from belfry.dataset.similarity import cosine_neighbours
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.retriever import TrainedRetrieverPromises


class TestItemKNNPromises(TrainedRetrieverPromises):
    answers_unknown = False  # no history, no neighbours: popularity answers

    def unfitted(self) -> ItemKNN:
        return ItemKNN(ItemKNNConfig())


def random_matrix(n_users: int = 30, n_items: int = 20) -> sp.csr_matrix:
    watched = np.random.default_rng(0).random((n_users + 1, n_items + 1)) < 0.3
    watched[0] = watched[:, 0] = False
    return sp.csr_matrix(watched.astype(np.float32))


def dense_cosines(matrix: sp.csr_matrix, shrink: float) -> np.ndarray:
    dense = matrix.toarray().astype(np.float64)
    norms = np.linalg.norm(dense, axis=0)
    with np.errstate(invalid="ignore"):
        cosines = np.nan_to_num(dense.T @ dense / (np.outer(norms, norms) + shrink))
    np.fill_diagonal(cosines, 0)
    return cosines


@pytest.mark.parametrize("shrink", [0, 7.5])
def test_cosines_are_those_of_the_formula(shrink: float) -> None:
    matrix = random_matrix()
    found = cosine_neighbours(matrix, n_neighbours=99, shrink=shrink)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), dense_cosines(matrix, shrink), rtol=1e-6)


def test_only_the_nearest_are_kept() -> None:
    matrix = random_matrix()
    found = cosine_neighbours(matrix, n_neighbours=3, shrink=0).toarray()
    cosines = dense_cosines(matrix, 0).astype(np.float32)
    for row in range(1, len(found)):
        nearest = np.argsort(-cosines[row], kind="stable")[:3]
        assert np.flatnonzero(found[row]).tolist() == sorted(nearest)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = random_matrix()
    whole = cosine_neighbours(matrix, n_neighbours=4, shrink=1)
    monkeypatch.setattr(similarity, "_STORED_PER_BLOCK", 60)
    assert (cosine_neighbours(matrix, n_neighbours=4, shrink=1) != whole).nnz == 0


def test_one_item_has_no_neighbours() -> None:
    matrix = sp.csr_matrix(np.array([[0, 0], [0, 1]], np.float32))
    assert cosine_neighbours(matrix, n_neighbours=4, shrink=1).nnz == 0


def test_scores_follow_the_history_at_hand_and_not_that_of_the_fit() -> None:
    board = checkerboard()
    model = ItemKNN(ItemKNNConfig(shrink=0)).fit(board.history, board.features, seed=0)
    user = np.array([2], np.int32)
    only_first = board.history.select(board.history.by_user.of(2)[:1])
    later = model.retrieve(user, features_of(only_first), top_k=99, exclude=only_first.seen_items)
    assert len(later) == len(board.history.items) // 2 - 1
