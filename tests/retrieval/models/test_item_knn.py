from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from belfry.dataset import similarity
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import bm25_neighbours, cosine_neighbours
from belfry.dataset.vocabulary import Vocabulary
from belfry.retrieval.models import neighbours
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.retriever import TrainedRetrieverPromises


class TestItemKNNPromises(TrainedRetrieverPromises):
    answers_unknown = False  # no history, no neighbours: popularity answers

    def unfitted(self) -> ItemKNN:
        return ItemKNN(ItemKNNConfig())


class TestItemKNNOfBM25Promises(TrainedRetrieverPromises):
    answers_unknown = False

    def unfitted(self) -> ItemKNN:
        return ItemKNN(ItemKNNConfig(similarity="bm25"))


class TestItemKNNOfRecentWatchesPromises(TrainedRetrieverPromises):
    answers_unknown = False

    def unfitted(self) -> ItemKNN:
        return ItemKNN(ItemKNNConfig(similarity="bm25", half_life=3))


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
    monkeypatch.setattr(similarity, "_SUMS_PER_BLOCK", 60)
    assert (cosine_neighbours(matrix, n_neighbours=4, shrink=1) != whole).nnz == 0


def test_one_item_has_no_neighbours() -> None:
    matrix = sp.csr_matrix(np.array([[0, 0], [0, 1]], np.float32))
    assert cosine_neighbours(matrix, n_neighbours=4, shrink=1).nnz == 0


@pytest.fixture
def watches() -> Interactions:
    """Some twice, some of a weight; 20 users, 15 items, in order."""
    generator = np.random.default_rng(3)
    users, items = np.nonzero(generator.random((20, 15)) < 0.3)
    rows = generator.permutation(np.append(np.arange(len(users)), np.arange(0, len(users), 3)))
    return Interactions.from_table(
        pa.table(
            {
                "user_id": users[rows] + 1,
                "item_id": items[rows] + 1,
                "timestamp_s": generator.permutation(len(rows)),
                "weight": generator.choice([0.5, 1.0, 2.0], len(rows)).astype(np.float32),
            }
        )
    )


@pytest.mark.parametrize("is_dense", [True, False])
@pytest.mark.parametrize("half_life", [None, 2.0])
@pytest.mark.parametrize("kind", ["cosine", "bm25"])
def test_scores_are_weights_of_watches_times_similarities(
    watches: Interactions, kind: str, half_life: float | None, is_dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cosines keep the neighbours of the scored item, BM25 those of the watched one."""
    monkeypatch.setattr(neighbours, "_DENSE_SHARE", 0.0 if is_dense else 1.0)
    features = features_of(watches)
    config = ItemKNNConfig(similarity=kind, half_life=half_life, n_neighbours=4, shrink=1)
    model = ItemKNN(config).fit(watches, features, seed=0)
    if kind == "cosine":
        said = cosine_neighbours(watches.matrix, n_neighbours=4, shrink=1).toarray().T
    else:
        said = bm25_neighbours(watches, n_neighbours=4).toarray()
    history = watches.weighted_matrix.toarray()
    if half_life is not None:
        history[:] = 0
        for user in range(1, len(history)):
            rows = watches.by_user.of(user)
            ages = np.arange(len(rows))[::-1]
            weights = 0.5 ** (ages / half_life)
            np.add.at(history[user], watches.item_num[rows], weights / np.linalg.norm(weights))
    users = np.arange(1, len(history), dtype=np.int32)
    found = model.retrieve(users, features, top_k=99, exclude=SeenItems.nothing(len(users)))
    table = np.zeros_like(history)
    table[found.user_num, found.item_num] = found.score
    np.testing.assert_allclose(table, history @ said, rtol=1e-5, atol=1e-6)
    assert (found.score > 0).all()  # what nothing speaks for is no candidate


def test_a_half_life_needs_an_order(watches: Interactions) -> None:
    model = ItemKNN(ItemKNNConfig(half_life=2))
    model.check(watches, features_of(watches))
    untimed = replace(watches, timestamp_s=None)
    with pytest.raises(InputError, match="item_knn: half_life needs a timestamp_s column in the interactions, or data"):
        model.check(untimed, features_of(untimed))
    ItemKNN(ItemKNNConfig()).check(untimed, features_of(untimed))
    model.check(replace(untimed, rows_in_order=True), features_of(untimed))


def test_scores_follow_the_history_at_hand_and_not_that_of_the_fit() -> None:
    board = checkerboard()
    model = ItemKNN(ItemKNNConfig(shrink=0)).fit(board.history, board.features, seed=0)
    user = np.array([2], np.int32)
    only_first = board.history.select(board.history.by_user.of(2)[:1])
    later = model.retrieve(user, features_of(only_first), top_k=99, exclude=only_first.seen_items)
    assert len(later) == len(board.history.items) // 2 - 1


@pytest.mark.parametrize("users", [[2], [2, 3]])
def test_weights_of_other_items_are_refused(users: list[int]) -> None:
    board = checkerboard()
    model = ItemKNN(ItemKNNConfig()).fit(board.history, board.features, seed=0)
    wider = replace(board.history, items=Vocabulary(pa.array(range(100, 120))))
    with pytest.raises(ArtifactError, match="item_knn: weights of 12 items, the run has others"):
        model.retrieve(np.array(users, np.int32), features_of(wider), top_k=3, exclude=wider.seen_items)
