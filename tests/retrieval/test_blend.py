"""Several sources, one list: against a plain reading of the rule, user by user."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers
from belfry.retrieval.blend import CombinedRetriever, Source, combine, fuse, normalised_scores
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from belfry.retrieval.popularity import Popularity, PopularityConfig
from tests.contracts.checkerboard import Checkerboard, checkerboard
from tests.contracts.retriever import RetrieverPromises

WEIGHTS = (1.0, 0.5, 2.0)
QUOTAS = (6, 3, 4)


class LookupTowers:
    """Vectors out of a table."""

    def __init__(self, n_users: int, n_items: int) -> None:
        generator = np.random.default_rng(0)
        self.queries = generator.standard_normal((n_users + 1, 5)).astype(np.float32)
        self.vectors = generator.standard_normal((n_items + 1, 5)).astype(np.float32)

    def encode_queries(self, users: Numbers, features: FeatureTables) -> np.ndarray:
        return self.queries[users]

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> np.ndarray:
        return self.vectors[items]


def sources_of(history: Interactions, features: FeatureTables) -> list[Source]:
    """Random towers, popularity and neighbours, the last of which know nothing of the unknown user."""
    towers = LookupTowers(len(history.users), len(history.items))
    index = ExactIndex.build(towers.vectors[1:], np.arange(1, len(towers.vectors), dtype=np.int32))
    retrievers = {
        "towers": IndexedRetriever(towers, index),
        "popular": Popularity(PopularityConfig()).fit(history, features, seed=0),
        "neighbours": ItemKNN(ItemKNNConfig()).fit(history, features, seed=0),
    }
    places = zip(retrievers.items(), QUOTAS, WEIGHTS, strict=True)
    return [Source(name, retriever, quota, weight) for (name, retriever), quota, weight in places]


class TestCombinedPromises(RetrieverPromises):
    learns_checkerboard = False  # these towers are random
    scores_alone = False

    def fitted(self, history: Interactions, features: FeatureTables) -> CombinedRetriever:
        return CombinedRetriever(sources_of(history, features))


@pytest.fixture
def board() -> Checkerboard:
    return checkerboard(n_items=36)


def retrieve(board: Checkerboard, top_k: int, only: Numbers | None = None) -> Candidates:
    retriever = CombinedRetriever(sources_of(board.history, board.features))
    return retriever.retrieve(board.users, board.features, top_k=top_k, exclude=board.history.seen_items, only=only)


def lists_by_source(board: Checkerboard, only: Numbers | None = None) -> list[list[dict[int, float]]]:
    """[n_sources][n_users] score by item, best first, of what each source proposes."""
    found = []
    for source in sources_of(board.history, board.features):
        quota = source.quota if only is None else len(only)
        lists = source.retriever.retrieve(
            board.users, board.features, top_k=quota, exclude=board.history.seen_items, only=only
        )
        scores = np.split(lists.score, lists.starts[1:-1])
        items = np.split(lists.item_num, lists.starts[1:-1])
        found.append([dict(zip(i.tolist(), s.tolist(), strict=True)) for i, s in zip(items, scores, strict=True)])
    return found


@pytest.mark.parametrize("only", [None, np.array([1, 2, 3, 8, 9, 10, 11], np.int32)])
def test_the_order_is_the_weighted_sum_of_standard_scores(board: Checkerboard, only: Numbers | None) -> None:
    found = retrieve(board, 99 if only is not None else 5, only)
    of_sources = lists_by_source(board, only)
    for place in range(len(board.users)):
        fused: dict[int, float] = {}
        for item in {item for lists in of_sources for item in lists[place]}:
            fused[item] = 0.0
            for weight, lists in zip(WEIGHTS, of_sources, strict=True):
                if scores := list(lists[place].values()):
                    score = lists[place].get(item, min(scores))
                    fused[item] += weight * (score - np.mean(scores)) / max(float(np.std(scores)), 1e-9)
        rows = slice(*found.starts[place : place + 2])
        best = sorted(fused, key=lambda item: (-np.float32(fused[item]), item))[: len(found.item_num[rows])]
        assert len(best) == min(len(fused), 5 if only is None else 99)
        np.testing.assert_allclose(found.score[rows], [fused[item] for item in best], atol=1e-4)
        np.testing.assert_allclose([fused[item] for item in found.item_num[rows]], found.score[rows], atol=1e-4)


def test_the_columns_say_what_each_source_thought(board: Checkerboard) -> None:
    found = retrieve(board, 99)
    assert found.sources == found.origins == ("towers", "popular", "neighbours")
    assert found.source_score is not None
    assert found.source_rank is not None
    assert (found.source_score.dtype, found.source_rank.dtype) == (np.float32, np.int32)
    of_sources = lists_by_source(board)
    for column in (1, 2):
        for place in range(len(board.users)):
            rows = slice(*found.starts[place : place + 2])
            ranks = found.source_rank[rows, column]
            said = dict(zip(found.item_num[rows].tolist(), found.source_score[rows, column].tolist(), strict=True))
            wanted = of_sources[column][place]
            assert {item: score for item, score in said.items() if not np.isnan(score)} == pytest.approx(wanted)
            assert sorted(ranks[ranks > 0]) == list(range(1, len(wanted) + 1))
    assert (np.isnan(found.source_score) == (found.source_rank == 0)).all()
    best = np.where(found.source_rank > 0, found.source_rank, 99)
    assert (best[np.arange(len(found)), found.origin] == best.min(axis=1)).all()


def test_a_list_begins_alike_however_long_it_is(board: Checkerboard) -> None:
    longest = retrieve(board, 99)
    assert (np.bincount(longest.row_user) > sum(QUOTAS)).any()  # the first source fills it up
    for top_k in (1, 4, 9, 13):
        short = retrieve(board, top_k)
        beginning = longest.select(longest.rank <= top_k)
        assert short.item_num.tolist() == beginning.item_num.tolist()
        np.testing.assert_allclose(short.score, beginning.score, atol=1e-6)


def test_the_tail_is_the_first_sources(board: Checkerboard) -> None:
    found = retrieve(board, 99)
    assert found.source_rank is not None
    is_tail = (found.source_rank[:, 0] > QUOTAS[0]) & (found.source_rank[:, 1:] == 0).all(axis=1)
    for place in range(len(board.users)):
        rows = slice(*found.starts[place : place + 2])
        tail = is_tail[rows]
        assert (np.diff(tail.astype(int)) >= 0).all()
        assert (np.diff(found.source_rank[rows, 0][tail]) > 0).all()


def test_only_leaves_nothing_allowed_out(board: Checkerboard) -> None:
    only = np.array([2, 5, 6, 11, 12], np.int32)
    found = retrieve(board, 99, only)
    for place, user in enumerate(board.users):
        wanted = np.setdiff1d(only, board.history.seen_items.of(user))
        assert sorted(found.item_num[slice(*found.starts[place : place + 2])]) == wanted.tolist()
    assert len(retrieve(board, 99, only[:0])) == 0


def test_a_weight_of_0_keeps_an_opinion_out_of_the_order(board: Checkerboard) -> None:
    first, *others = sources_of(board.history, board.features)
    silent = [Source(source.name, source.retriever, source.quota, 0.0) for source in others]
    asked = {"top_k": QUOTAS[0], "exclude": board.history.seen_items}
    alone = first.retriever.retrieve(board.users, board.features, **asked)
    found = CombinedRetriever([first, *silent]).retrieve(board.users, board.features, **asked)
    # The first's last item has the value of those that it did not bring, so it may fall behind one of them.
    assert (
        found.select(found.rank < QUOTAS[0]).item_num.tolist() == alone.select(alone.rank < QUOTAS[0]).item_num.tolist()
    )


def test_what_only_a_source_of_weight_0_proposed_stands_in_its_order(board: Checkerboard) -> None:
    first, *others = sources_of(board.history, board.features)
    silent = Source(first.name, first.retriever, 20, 0.0)
    asked = {"exclude": board.history.seen_items}
    alone = first.retriever.retrieve(board.users, board.features, top_k=20, **asked)
    found = CombinedRetriever([silent, *others]).retrieve(board.users, board.features, top_k=20, **asked)
    assert found.source_rank is not None
    for user in range(len(board.users)):
        own = found.select((found.row_user == user) & (found.source_rank[:, 1:] == 0).all(axis=1))
        wanted = alone.select((alone.row_user == user) & np.isin(alone.item_num, own.item_num))
        assert len(own) > 5
        assert own.item_num.tolist() == wanted.item_num.tolist()


def test_one_source_is_left_as_it_is(board: Checkerboard) -> None:
    first = sources_of(board.history, board.features)[0]
    assert combine([first]) is first.retriever
    found = first.retriever.retrieve(board.users, board.features, top_k=3, exclude=board.history.seen_items)
    assert found.sources == ()


def test_equal_scores_and_empty_lists_have_no_opinion(board: Checkerboard) -> None:
    """Of the unknown user neighbours know nothing; a list of one item has no spread."""
    sources = [Source(s.name, s.retriever, 1, 1.0) for s in sources_of(board.history, board.features)]
    retriever = CombinedRetriever(sources)
    nobody = np.zeros(1, np.int32)
    proposed = retriever.propose(nobody, board.features, top_k=1, exclude=board.history.seen_items)
    values = normalised_scores(proposed, [1, 1, 1])
    assert (values == 0).all()
    assert (fuse(proposed, values, np.ones(3), 1) == 0).all()


def test_many_blocks_give_what_one_gives(board: Checkerboard, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = retrieve(board, 8)
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 20)
    parts = retrieve(board, 8)
    assert whole.item_num.tolist() == parts.item_num.tolist()
    np.testing.assert_allclose(whole.score, parts.score, atol=1e-6)


def test_of_new_items_the_first_source_speaks_for_the_others(board: Checkerboard) -> None:
    """The others' values are those that a regression on the first one's expects, over the known items of the list."""
    sources = sources_of(board.history, board.features)
    is_new = np.zeros(37, np.bool_)
    is_new[np.arange(1, 37, 5)] = True
    plain, knowing = CombinedRetriever(sources), CombinedRetriever(sources, is_new)
    proposed = plain.propose(board.users, board.features, top_k=6, exclude=board.history.seen_items)
    before, after = (one.values(proposed, QUOTAS) for one in (plain, knowing))
    assert (before == normalised_scores(proposed, QUOTAS)).all()
    n_filled = 0
    for user in range(len(board.users)):
        rows = proposed.row_user == user
        known, rank = rows & ~is_new[proposed.item_num], proposed.source_rank
        for column in (1, 2):
            filled = rows & is_new[proposed.item_num] & (rank[:, 0] > 0)
            slope, start = np.polyfit(before[known, 0], before[known, column], 1)
            np.testing.assert_allclose(after[filled, column], start + slope * before[filled, 0], atol=1e-6)
            n_filled += np.count_nonzero(filled)
            before[filled, column] = after[filled, column]
    assert n_filled
    np.testing.assert_allclose(before, after)  # nothing else has changed


def test_without_new_items_nothing_changes(board: Checkerboard) -> None:
    sources = sources_of(board.history, board.features)
    asked = {"top_k": 8, "exclude": board.history.seen_items}
    none = CombinedRetriever(sources, np.arange(37) == 0).retrieve(board.users, board.features, **asked)
    assert (
        none.item_num.tolist()
        == CombinedRetriever(sources).retrieve(board.users, board.features, **asked).item_num.tolist()
    )
