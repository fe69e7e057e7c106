import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from belfry.dataset.interactions import SeenItems
from belfry.retrieval.dense import best_columns, stack, top_candidates, top_sparse_candidates

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
    found = top_sparse_candidates(users, stored, exclude, top_k, "test", only)
    whole = top_candidates(users, np.where(scores == 0, -np.inf, scores), exclude, top_k, "test", only)
    assert found.users.tolist() == whole.users.tolist()
    assert found.row_user.tolist() == whole.row_user.tolist()
    assert found.item_num.tolist() == whole.item_num.tolist()
    assert found.score.tolist() == whole.score.tolist()
    assert found.rank.tolist() == whole.rank.tolist()
    assert (found.origins, found.item_num.dtype, found.score.dtype) == (("test",), np.int32, np.float32)


def test_stack_keeps_each_users_rows() -> None:
    scores = np.array([[0, 1, 2], [0, 4, 3]], np.float32)
    users = np.array([1, 2], np.int32)
    nothing = SeenItems.nothing(2)
    whole = top_candidates(users, scores, nothing, 2, "test")
    parts = stack([top_candidates(users[i : i + 1], scores[i : i + 1], nothing, 2, "test") for i in range(2)])
    assert parts.user_num.tolist() == whole.user_num.tolist() == [1, 1, 2, 2]
    assert parts.item_num.tolist() == whole.item_num.tolist() == [2, 1, 1, 2]
    assert parts.rank.tolist() == whole.rank.tolist() == [1, 2, 1, 2]
