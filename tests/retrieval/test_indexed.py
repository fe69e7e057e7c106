import numpy as np
import pytest

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from tests.contracts.checkerboard import checkerboard
from tests.contracts.retriever import RetrieverPromises


class ParityTowers:
    """Knows the answer to the checkerboard; an unknown user is pulled both ways."""

    def encode_queries(self, users: Numbers, features: FeatureTables) -> np.ndarray:
        return np.stack([users % 2 == 0, (users % 2 == 1) | (users == 0)], axis=1).astype(np.float32)

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> np.ndarray:
        return self.encode_queries(items, features) * (1 + 0.01 * items[:, None].astype(np.float32))


def all_items(history: Interactions) -> Numbers:
    return np.arange(1, len(history.items) + 1, dtype=np.int32)


class TestIndexedPromises(RetrieverPromises):
    config = IndexConfig(kind="exact")

    def fitted(self, history: Interactions, features: FeatureTables) -> IndexedRetriever:
        towers, items = ParityTowers(), all_items(history)
        vectors = towers.encode_candidates(items, features)
        return IndexedRetriever(towers, build_index(vectors, items, self.config, vectors))


class TestIndexedByBestIndexPromises(TestIndexedPromises):
    config = IndexConfig()  # ScaNN where it is usable


def retriever_of(board) -> IndexedRetriever:
    towers, items = ParityTowers(), all_items(board.history)
    return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, board.features), items), "parity")


def test_as_many_as_asked_for_though_the_best_are_seen() -> None:
    board = checkerboard()
    candidates = retriever_of(board).retrieve(board.users, board.features, top_k=4, exclude=board.history.seen_items)
    assert (np.bincount(candidates.row_user) == 4).all()


def test_the_whole_catalogue_but_the_seen() -> None:
    board = checkerboard()
    candidates = retriever_of(board).retrieve(
        board.users, board.features, top_k=10_000, exclude=board.history.seen_items
    )
    n_left = len(board.history.items) - board.history.seen_items.count(board.users)
    assert np.bincount(candidates.row_user).tolist() == n_left.tolist()
    assert candidates.origins == ("parity",)


def test_many_blocks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    board = checkerboard()
    retriever = retriever_of(board)
    whole = retriever.retrieve(board.users, board.features, top_k=4, exclude=board.history.seen_items)
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 20)
    parts = retriever.retrieve(board.users, board.features, top_k=4, exclude=board.history.seen_items)
    assert whole.row_user.tolist() == parts.row_user.tolist()
    assert whole.item_num.tolist() == parts.item_num.tolist()
