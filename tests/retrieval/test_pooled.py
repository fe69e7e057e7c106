import numpy as np
import pytest

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from dataset.interactions import Interactions
from dataset.vocabulary import Numbers
from retrieval.index.exact import ExactIndex
from retrieval.indexed import IndexedRetriever
from retrieval.item_knn import ItemKNN
from retrieval.pooled import PooledRetriever
from retrieval.popularity import Popularity
from tests.contracts.checkerboard import Checkerboard, checkerboard
from tests.contracts.retriever import RetrieverPromises

TOP_K, QUOTA = 3, 2


class LookupTowers:
    """Vectors out of a table; counts how often it is asked for queries."""

    def __init__(self, n_users: int, n_items: int) -> None:
        generator = np.random.default_rng(0)
        self.queries = generator.standard_normal((n_users + 1, 5)).astype(np.float32)
        self.vectors = generator.standard_normal((n_items + 1, 5)).astype(np.float32)
        self.vectors[0] = 0
        self.n_calls = 0

    def encode_queries(self, users: Numbers, features: FeatureTables) -> np.ndarray:
        self.n_calls += 1
        return self.queries[users]

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> np.ndarray:
        return self.vectors[items]


def pooled(history: Interactions, features: FeatureTables, others=None) -> tuple[PooledRetriever, LookupTowers]:
    towers = LookupTowers(len(history.users), len(history.items))
    index = ExactIndex.build(towers.vectors[1:], np.arange(1, len(towers.vectors), dtype=np.int32))
    popular = Popularity().fit(history, features, seed=0)
    others = [(popular, QUOTA)] if others is None else others
    return PooledRetriever(IndexedRetriever(towers, index), towers.vectors, towers, others), towers


class TestPooledPromises(RetrieverPromises):
    """What other sources add comes on top of `top_k`; ItemKNN adds nothing for the unknown user."""

    learns_checkerboard = False  # these towers are random

    def fitted(self, history: Interactions, features: FeatureTables) -> PooledRetriever:
        return pooled(history, features, [(ItemKNN().fit(history, features, seed=0), QUOTA)])[0]

    def test_no_more_than_asked_for(self, retriever: PooledRetriever, board: Checkerboard) -> None:
        candidates = retriever.retrieve(board.users, board.features, top_k=1, exclude=board.history.seen_items)
        assert 1 < candidates.rank.max() <= 1 + QUOTA


@pytest.fixture
def board() -> Checkerboard:
    return checkerboard()


def items_of(candidates: Candidates, position: int, origin: str | None = None) -> list[int]:
    rows = candidates.row_user == position
    if origin is not None:
        rows &= candidates.origin == candidates.origins.index(origin)
    return candidates.item_num[rows].tolist()


def test_each_list_is_the_first_list_and_the_best_of_the_rest(board: Checkerboard) -> None:
    seen = board.history.seen_items
    retriever, towers = pooled(board.history, board.features)
    found = retriever.retrieve(board.users, board.features, top_k=TOP_K, exclude=seen)
    popular = Popularity().fit(board.history, board.features, seed=0)
    ranking = popular.retrieve(board.users, board.features, top_k=99, exclude=seen)
    assert found.origins == ("two_tower", "popularity")
    for position, user in enumerate(board.users):
        scores = towers.vectors @ towers.queries[user]
        unseen = np.setdiff1d(np.arange(1, len(scores)), seen.of(user))
        best = unseen[np.argsort(-scores[unseen])][:TOP_K].tolist()
        assert items_of(found, position, "two_tower") == best
        added = [item for item in items_of(ranking, position) if item not in best][:QUOTA]
        assert sorted(items_of(found, position, "popularity")) == sorted(added)


def test_every_score_is_the_towers_own_and_sorts_the_list(board: Checkerboard) -> None:
    retriever, towers = pooled(board.history, board.features)
    found = retriever.retrieve(board.users, board.features, top_k=TOP_K, exclude=board.history.seen_items)
    products = (towers.queries[found.user_num] * towers.vectors[found.item_num]).sum(axis=1)
    np.testing.assert_allclose(found.score, products, rtol=1e-5)
    assert (np.diff(found.score)[np.diff(found.row_user) == 0] <= 0).all()
    assert (np.bincount(found.row_user) == TOP_K + QUOTA).all()
    assert towers.n_calls == 1


def test_later_sources_add_what_no_earlier_one_brought(board: Checkerboard) -> None:
    popular = Popularity().fit(board.history, board.features, seed=0)
    neighbours = ItemKNN().fit(board.history, board.features, seed=0)
    retriever, _ = pooled(board.history, board.features, [(popular, 2), (neighbours, 1), (popular, 1)])
    found = retriever.retrieve(board.users, board.features, top_k=2, exclude=board.history.seen_items)
    assert found.origins == ("two_tower", "popularity", "item_knn", "popularity")
    assert (np.bincount(found.row_user) <= 6).all()
    assert len(np.unique(found.row_user * 100 + found.item_num)) == len(found)
    assert (np.bincount(found.origin) == [48, 48, np.sum(found.origin == 2), 24]).all()


def test_fewer_rather_than_filler_at_the_end_of_the_catalogue(board: Checkerboard) -> None:
    retriever, _ = pooled(board.history, board.features)
    found = retriever.retrieve(board.users, board.features, top_k=1000, exclude=board.history.seen_items)
    n_left = len(board.history.items) - board.history.seen_items.count(board.users)
    assert np.bincount(found.row_user).tolist() == n_left.tolist()
    assert (found.origin == 0).all()


def test_no_other_source_leaves_the_first(board: Checkerboard) -> None:
    retriever, _ = pooled(board.history, board.features, [])
    found = retriever.retrieve(board.users, board.features, top_k=TOP_K, exclude=board.history.seen_items)
    assert found.origins == ("two_tower",)
    assert (np.bincount(found.row_user) == TOP_K).all()


def test_many_blocks_give_what_one_gives(board: Checkerboard, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever, _ = pooled(board.history, board.features)
    whole = retriever.retrieve(board.users, board.features, top_k=TOP_K, exclude=board.history.seen_items)
    monkeypatch.setattr("retrieval.dense.CELLS_PER_BLOCK", 20)
    parts = retriever.retrieve(board.users, board.features, top_k=TOP_K, exclude=board.history.seen_items)
    assert whole.item_num.tolist() == parts.item_num.tolist()
    assert whole.score.tolist() == parts.score.tolist()
