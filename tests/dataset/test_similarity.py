"""Singular vectors, neighbours by BM25, sequential rules, and the largest entries of rows."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from belfry.dataset import similarity
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import (
    bm25_neighbours,
    cosine_neighbours,
    ease_weights,
    item_rarity,
    largest_of_rows,
    once_for_a_history,
    sequential_rules,
    truncated_svd,
)


def random_matrix(n_rows: int, n_columns: int, density: float = 0.2) -> "sp.csr_matrix[np.float32]":
    cells = np.random.default_rng(1).random((n_rows, n_columns)) < density
    return sp.csr_matrix(cells.astype(np.float32))


@pytest.mark.parametrize(("shape", "rank"), [((40, 30), 10), ((200, 150), 40), ((12, 30), 100)])
def test_the_largest_singular_values_and_their_vectors(shape: tuple[int, int], rank: int) -> None:
    matrix = random_matrix(*shape)
    values, factors = truncated_svd(matrix, rank)
    _, expected, vectors = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)
    n_factors = min(rank, int((expected > 1e-5).sum()))
    assert factors.shape == (shape[1], n_factors)
    np.testing.assert_allclose(values, expected[:n_factors], rtol=0.01)
    np.testing.assert_allclose(values[: n_factors // 2], expected[: n_factors // 2], rtol=1e-3)
    np.testing.assert_allclose(factors.T @ factors, np.eye(n_factors), atol=1e-4)
    alike = np.abs(np.einsum("ij,ji->i", vectors[:3], factors[:, :3]))  # up to the sign
    np.testing.assert_allclose(alike, 1, atol=1e-2)


def test_equal_matrices_have_equal_vectors_whatever_was_drawn_before() -> None:
    matrix = random_matrix(60, 50)
    first = truncated_svd(matrix, 8)[1]
    np.random.default_rng(5).normal(size=3)
    np.testing.assert_array_equal(truncated_svd(matrix, 8)[1], first)


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_gives_the_same_values_to_rounding(seed: int) -> None:
    matrix = random_matrix(60, 50)
    np.testing.assert_allclose(truncated_svd(matrix, 8, seed=seed)[0], truncated_svd(matrix, 8)[0], rtol=1e-3)


def test_parts_of_the_rows_change_no_vector_but_its_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = random_matrix(60, 150)
    values, factors = truncated_svd(matrix, 8)
    monkeypatch.setattr(similarity, "_ROWS_PER_QR", 1)  # so as many as fit
    in_parts = truncated_svd(matrix, 8)
    np.testing.assert_allclose(in_parts[0], values, rtol=1e-5)
    np.testing.assert_allclose(np.abs(in_parts[1]), np.abs(factors), atol=1e-4)


def test_equal_vectors_however_many_threads_may_work() -> None:
    matrix = random_matrix(3_000, 400)
    with threadpool_limits(1, "blas"):
        values, factors = truncated_svd(matrix, 16)
    with threadpool_limits(4, "blas"):
        same_values, same_factors = truncated_svd(matrix, 16)
    np.testing.assert_array_equal(values, same_values)
    np.testing.assert_array_equal(factors, same_factors)


def test_a_matrix_of_zeros_has_one_factor_of_value_zero() -> None:
    values, factors = truncated_svd(sp.csr_matrix((5, 4), dtype=np.float32), 3)
    np.testing.assert_array_equal(values, [0])
    assert factors.shape == (4, 1)


def test_a_matrix_of_low_rank_has_no_more_vectors_than_that() -> None:
    matrix = sp.csr_matrix(np.outer([1, 1, 0, 1], [1, 0, 1, 1, 0]).astype(np.float32))
    values, factors = truncated_svd(matrix, 3)
    np.testing.assert_allclose(values, [3], rtol=1e-5)
    assert factors.shape == (5, 1)


# Rarity, BM25 and sequential rules.


def history_of(n_users: int = 25, n_items: int = 12, n_events: int = 150, seed: int = 0) -> Interactions:
    """Repeated watches, equal times, weights below and above 1; rows in no order."""
    generator = np.random.default_rng(seed)
    table = pa.table(
        {
            "user_id": [*range(1, n_users + 1), *generator.integers(1, n_users + 1, n_events)],
            "item_id": [*(np.arange(n_users) % n_items + 1), *generator.integers(1, n_items + 1, n_events)],
            "timestamp_s": generator.integers(0, 40, n_users + n_events),
            "weight": generator.choice([0.5, 1.0, 3.0], n_users + n_events).astype(np.float32),
        }
    )
    return Interactions.from_table(table)


def slow_rarity(history: Interactions) -> list[float]:
    """By item number; of the unknown one, whom nobody watched, as of any."""
    watched_by = [set(history.user_num[history.item_num == item].tolist()) for item in range(len(history.items) + 1)]
    return [math.log(1 + len(history.users) / (1 + len(users))) for users in watched_by]


def largest_alone(table: np.ndarray, n_kept: int) -> np.ndarray:
    """`table` with 0 for all but the largest of each row, equal ones by column."""
    kept = np.zeros_like(table)
    for row, values in enumerate(table):
        columns = np.argsort(-values, kind="stable")[:n_kept]
        kept[row, columns] = values[columns]
    return kept


def test_what_few_watch_is_rare() -> None:
    """Of three users one watched item 1, two item 2."""
    history = Interactions.from_table(pa.table({"user_id": [1, 2, 3, 3], "item_id": [1, 2, 2, 2]}))
    np.testing.assert_allclose(item_rarity(history), np.log([1 + 3 / 1, 1 + 3 / 2, 1 + 3 / 3]))
    np.testing.assert_allclose(item_rarity(history_of()), slow_rarity(history_of()))


@pytest.mark.parametrize("n_neighbours", [4, 99])
def test_bm25_is_the_formula(n_neighbours: int) -> None:
    history, k1, b = history_of(), 1.5, 0.4
    rarity, n_numbers = slow_rarity(history), len(history.items) + 1
    share = np.zeros((len(history.users) + 1, n_numbers))
    watched = [np.unique(history.item_num[history.user_num == user]) for user in range(len(share))]
    mean_length = np.mean([len(items) for items in watched[1:]])
    assert history.weight is not None
    for user, items in enumerate(watched):
        for item in items:
            total = history.weight[(history.user_num == user) & (history.item_num == item)].sum()
            count = 1 + math.log(total) if total > 1 else total
            saturation = k1 * (1 - b + b * len(items) / mean_length)
            share[user, item] = rarity[item] * count * (k1 + 1) / (count + saturation)
    expected = share.T @ share
    np.fill_diagonal(expected, 0)
    found = bm25_neighbours(history, n_neighbours=n_neighbours, k1=k1, b=b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), largest_alone(expected, n_neighbours), rtol=1e-5)


def test_blocks_of_items_change_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    def tables() -> list["sp.csr_matrix[np.float32]"]:
        history = history_of()
        return [
            bm25_neighbours(history, n_neighbours=3),
            cosine_neighbours(history.matrix, n_neighbours=3, shrink=2),
            sequential_rules(history, n_steps=3, backward=0.5, n_neighbours=3),
        ]

    whole = tables()
    monkeypatch.setattr(similarity, "_SUMS_PER_BLOCK", 30)
    for in_blocks, one in zip(tables(), whole, strict=True):
        assert one.nnz
        assert (in_blocks != one).nnz == 0


@pytest.mark.parametrize(("n_steps", "backward"), [(1, 0.0), (3, 0.0), (3, 0.5), (500, 1.0)])
@pytest.mark.parametrize("n_neighbours", [4, 99])
def test_rules_are_sums_over_pairs_of_events(n_steps: int, backward: float, n_neighbours: int) -> None:
    history = history_of()
    rarity, n_numbers = slow_rarity(history), len(history.items) + 1
    expected = np.zeros((n_numbers, n_numbers))
    for user in range(1, len(history.users) + 1):
        items = history.item_num[history.by_user.of(user)]
        for (first, one), (second, other) in itertools.combinations(enumerate(items), 2):
            if one != other and second - first <= n_steps:
                said = rarity[one] * rarity[other] / math.sqrt(second - first)
                expected[one, other] += said
                expected[other, one] += backward * said
    found = sequential_rules(history, n_steps=n_steps, backward=backward, n_neighbours=n_neighbours)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), largest_alone(expected, n_neighbours), rtol=1e-5)


def test_rules_by_hand() -> None:
    """User 1: items 1, 2, 1; user 2: 1, 3. Up to two steps apart; item 1 does not follow itself."""
    table = pa.table({"user_id": [1, 1, 1, 2, 2], "item_id": [1, 2, 1, 1, 3]})
    common, rare = math.log(1 + 2 / 3), math.log(1 + 2 / 2)  # of two users both watched item 1, one 2 and 3 each
    expected = np.zeros((4, 4))
    expected[1, 2] = expected[2, 1] = expected[1, 3] = common * rare
    history = Interactions.from_table(table)
    found = sequential_rules(history, n_steps=2, backward=0, n_neighbours=9)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)


def test_one_event_makes_no_rule() -> None:
    history = Interactions.from_table(pa.table({"user_id": [1], "item_id": [1]}))
    assert sequential_rules(history, n_steps=5, backward=1, n_neighbours=9).nnz == 0


def test_what_is_asked_for_again_is_computed_once() -> None:
    """By argument and by history: a part of one is another, and no equal copy shares what was kept."""
    calls = []

    @once_for_a_history
    def count(history: Interactions, *, depth: int) -> int:
        calls.append(depth)
        return len(history) * depth

    history = history_of()
    assert count(history, depth=2) == count(history, depth=2) == 2 * len(history)
    assert calls == [2]
    assert count(history, depth=3) == 3 * len(history)
    part = history.select(np.arange(10))
    assert count(part, depth=2) == 20
    assert count(replace(history), depth=2) == 2 * len(history)
    assert calls == [2, 3, 2, 2]


def test_a_source_and_the_features_share_one_table() -> None:
    history = history_of()
    assert bm25_neighbours(history, n_neighbours=5) is bm25_neighbours(history, n_neighbours=5)
    assert bm25_neighbours(history, n_neighbours=5) is not bm25_neighbours(history, n_neighbours=6)
    rules = {"n_steps": 2, "backward": 0.5, "n_neighbours": 5}
    assert sequential_rules(history, **rules) is sequential_rules(history, **rules)
    assert ease_weights(history, l2=3) is ease_weights(history, l2=3)


@pytest.mark.parametrize("l2", [0.5, 12.0])
def test_ease_is_the_closed_form_regularised_by_the_root_of_the_users(l2: float) -> None:
    history = history_of()
    matrix = history.relative_matrix.toarray().astype(np.float64)
    assert len(np.unique(matrix)) > 2  # watches weigh differently
    inverse = np.linalg.inv(matrix.T @ matrix + l2 * math.sqrt(25) * np.eye(matrix.shape[1]))
    expected = np.eye(len(inverse)) - inverse / np.diag(inverse)
    np.testing.assert_allclose(ease_weights(history, l2=l2), expected, atol=1e-6)


def test_the_largest_of_each_row_equal_ones_by_column() -> None:
    matrix = sp.csr_matrix(np.array([[0, 3, 1, 3, 3], [0, 0, 0, 0, 0], [5, 0, 0, 0, 1]], np.float32))
    assert largest_of_rows(matrix, 2).toarray().tolist() == [[0, 3, 0, 3, 0], [0] * 5, [5, 0, 0, 0, 1]]


def test_columns_rise_where_no_row_is_cut() -> None:
    matrix = sp.csr_matrix((np.array([1, 2], np.float32), [3, 1], [0, 2, 2]), shape=(2, 4))
    largest = largest_of_rows(matrix, 2)
    assert (largest.indices.tolist(), largest.data.tolist()) == ([1, 3], [2, 1])
