from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from belfry.dataset.history.seen_items import SeenItems
from belfry.retrieval.dense import best_columns, stack, top_candidates, top_of_few, top_sparse_candidates

FEW_VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])
TABLES = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=FEW_VALUES)


@given(TABLES, st.data())
def test_best_columns_is_the_start_of_a_stable_sort(scores: np.ndarray, data: st.DataObject) -> None:
    top_k = data.draw(st.integers(1, scores.shape[1]))
    wanted = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    found = best_columns(scores, top_k)
    meant = np.take_along_axis(scores, wanted, axis=1) > -np.inf
    assert (np.take_along_axis(scores, found, axis=1) == np.take_along_axis(scores, wanted, axis=1)).all()
    assert (found[meant] == wanted[meant]).all()


def test_top_candidates_drops_what_is_seen_unknown_or_no_answer() -> None:
    scores = np.array([[9, 5, 4, 3, np.nan, -np.inf], [9, 1, 1, 1, 1, 1]], np.float32)
    before = scores.copy()
    seen = SeenItems(np.array([0, 0, 1, 3]), np.array([1, 2, 5], np.int32))
    candidates = top_candidates(np.array([1, 2], np.int32), scores, seen, 2, "test")
    assert candidates.row_user.tolist() == [0, 0, 1, 1]
    assert candidates.item_num.tolist() == [2, 3, 1, 3]
    assert candidates.origins == ("test",)
    kinds = (candidates.item_num.dtype, candidates.score.dtype, candidates.rank.dtype, candidates.origin.dtype)
    assert kinds == (np.int32, np.float32, np.int32, np.int8)
    np.testing.assert_array_equal(scores, before)


NOT_BELOW_ZERO = st.sampled_from([0.0, 0.25, 0.5, 0.5, 2.0, np.nan])


@given(arrays(np.float32, (4, 9), elements=NOT_BELOW_ZERO), st.integers(1, 12), st.booleans(), st.integers(0, 99))
def test_top_sparse_candidates_are_the_top_candidates_above_zero(
    scores: np.ndarray, top_k: int, is_limited: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    users = np.array([3, 1, 0, 4], np.int32)
    seen = np.unique(generator.integers([1, 1], [5, 9], (8, 2)), axis=0).astype(np.int32)
    exclude = SeenItems(seen[:, 0].searchsorted(np.arange(6)), seen[:, 1])
    only = generator.permutation(9)[:4].astype(np.int32) if is_limited else None
    stored = sp.csr_matrix(scores)  # NaN is stored too
    stored.data[stored.data == 0.25], scores[scores == 0.25] = 0, 0  # and so may 0 be
    found = top_sparse_candidates(users, stored, exclude, top_k, "test", only)
    whole = top_candidates(users, np.where(scores == 0, -np.inf, scores), exclude, top_k, "test", only)
    assert found.users.tolist() == whole.users.tolist()
    assert found.row_user.tolist() == whole.row_user.tolist()
    assert found.item_num.tolist() == whole.item_num.tolist()
    assert found.score.tolist() == whole.score.tolist()
    assert found.rank.tolist() == whole.rank.tolist()
    assert (found.origins, found.item_num.dtype, found.score.dtype) == (("test",), np.int32, np.float32)


@given(arrays(np.float32, 9, elements=NOT_BELOW_ZERO.filter(np.isfinite)), st.integers(1, 12), st.booleans())
def test_top_of_few_are_the_top_candidates_above_zero(scores: np.ndarray, top_k: int, is_limited: bool) -> None:
    users = np.array([2], np.int32)
    exclude = SeenItems(np.array([0, 0, 1, 3]), np.array([4, 1, 6], np.int32))
    only = np.array([1, 2, 3, 5, 8], np.int32) if is_limited else None
    whole = top_candidates(users, np.where(scores == 0, -np.inf, scores)[None], exclude, top_k, "test", only)
    found = top_of_few(users, np.arange(len(scores), dtype=np.int32), scores, exclude, top_k, "test", only)
    for name in ("users", "row_user", "item_num", "score", "rank", "origin"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), strict=True)
    assert found.origins == ("test",)


def test_top_of_few_of_many() -> None:
    """So many that NumPy puts no others in order than those asked for."""
    for seed in range(9):
        scores = np.random.default_rng(seed).random(3_001, np.float32)
        wanted = np.argsort(-scores[1:], kind="stable")[:2_000] + 1
        items = np.arange(len(scores), dtype=np.int32)
        found = top_of_few(np.array([1], np.int32), items, scores, SeenItems.nothing(1), 2_000, "test")
        assert found.item_num.tolist() == wanted.tolist()


def test_stack_keeps_each_users_rows() -> None:
    """Of three groups, so that the first one of each is not the number of the group."""
    random = np.random.default_rng(0)
    users = np.array([4, 1, 2, 0, 3], np.int32)
    whole = top_candidates(users, random.random((5, 7), np.float32), SeenItems.nothing(4), 3, "a")
    whole = replace(
        whole,
        origin=random.integers(0, 2, len(whole)).astype(np.int8),
        origins=("a", "b"),
        source_score=random.random((len(whole), 2), np.float32),
        source_rank=random.integers(0, 9, (len(whole), 2)).astype(np.int32),
    )
    parts = [whole.of_users(np.arange(5)[part]) for part in (slice(0, 2), slice(2, 3), slice(3, 5))]
    parts[1:] = [replace(part, origins=("others",)) for part in parts[1:]]
    for made, wanted in (
        (stack(parts), whole),
        (stack(parts[:1]), parts[0]),
        (
            stack([replace(part, source_score=None, source_rank=None) for part in parts]),
            replace(whole, source_score=None, source_rank=None),
        ),
    ):
        for name, value in vars(wanted).items():
            np.testing.assert_array_equal(getattr(made, name), value)
