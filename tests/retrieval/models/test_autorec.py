"""AutoRec by item: the promises, its gradient, and the users' rows that are solved for."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.autorec import AutoRec, AutoRecConfig, _loss_and_gradient, _Table, _values, _Weights
from belfry.retrieval.registry import KINDS
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.retriever import RetrieverPromises

TINY = AutoRecConfig(embedding_size=4, l2=0.3)
BY_RATINGS = AutoRecConfig(reads="ratings", embedding_size=4, l2=0.1, epochs=200)
EVERYTHING: Numbers = np.arange(13, dtype=np.int32)


def rated() -> Interactions:
    """Everybody rates everything, users of like parity 5 and the others 1; a third of the pairs is watched alone."""
    users, items = np.meshgrid(np.arange(1, 25), np.arange(1, 13), indexing="ij")
    ratings = np.where(users % 2 == items % 2, 5.0, 1.0)
    ratings[(users + items) % 3 == 0] = np.nan
    columns = {"user_id": users.ravel(), "item_id": items.ravel(), "rating": ratings.ravel()}
    return Interactions.from_table(pa.table(columns))


@cache
def fitted(config: AutoRecConfig) -> AutoRec:
    history = rated() if config.reads == "ratings" else checkerboard().history
    return AutoRec(config).fit(history, features_of(history), seed=0)


class TestAutoRecPromises(RetrieverPromises):
    @pytest.fixture
    def retriever(self) -> IndexedRetriever:
        items = EVERYTHING[1:]
        vectors = fitted(TINY).encode_candidates(items, checkerboard().features)
        return IndexedRetriever(fitted(TINY), ExactIndex.build(vectors, items))


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_gradient_is_that_of_the_loss(is_whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 100)  # several blocks of items
    history, size = rated(), 2
    table = _Table.of(_values(history, "ratings", 3.1), is_whole=is_whole)
    generator = np.random.default_rng(0)
    start = _Weights.random(24, size, generator).flatten()

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        return _loss_and_gradient(_Weights.unflatten(flat, size), table, 0.7)

    gradient = loss_and_gradient(start)[1]
    for _ in range(5):
        step = 0.003 * generator.normal(size=len(start))
        gained = loss_and_gradient(start + step)[0] - loss_and_gradient(start - step)[0]
        assert gained == pytest.approx(2 * gradient @ step, rel=0.01, abs=1e-3)


@pytest.mark.parametrize("config", [TINY, BY_RATINGS], ids=["watches", "ratings"])
def test_rows_that_are_solved_for_have_no_gradient(config: AutoRecConfig) -> None:
    """A user's row, given the units, is where squared errors and penalty cannot be lowered."""
    history = rated() if config.reads == "ratings" else checkerboard().history
    towers, features = fitted(config), features_of(history)
    users, items = np.arange(1, 25, dtype=np.int32), EVERYTHING[1:]
    queries, units = towers.encode_queries(users, features), towers.encode_candidates(items, features)
    values = np.zeros((25, 13), np.float32)
    values[history.user_num, history.item_num] = 1 if history.rating is None else history.rating - towers.mean_rating
    counts = ~np.isnan(values) if config.reads == "ratings" else np.ones_like(values)
    errors = np.nan_to_num(queries @ units.T - values[1:, 1:]) * counts[1:, 1:]
    np.testing.assert_allclose(errors @ units + config.l2 * queries, 0, atol=2e-3)


def test_ratings_are_predicted() -> None:
    history, towers = rated(), fitted(BY_RATINGS)
    features = features_of(history)
    users = np.arange(1, 25, dtype=np.int32)
    scores = towers.encode_queries(users, features) @ towers.encode_candidates(EVERYTHING[1:], features).T
    expected = np.where(users[:, None] % 2 == EVERYTHING[1:] % 2, 5, 1)
    np.testing.assert_allclose(scores + towers.mean_rating, expected, atol=0.5)


def test_the_last_rating_of_a_pair_counts_and_none_counts_for_nothing() -> None:
    columns = {"user_id": [1, 1, 1, 2], "item_id": [1, 1, 2, 2], "rating": [2.0, 4.0, None, 3.0]}
    history = Interactions.from_table(pa.table(columns))
    values = _values(history, "ratings", 3.0)
    assert values.toarray()[1:, 1:].tolist() == [[1, 0], [0, 0]]
    assert values.nnz == 2  # a rating at the mean is a rating


@pytest.mark.parametrize("config", [TINY, BY_RATINGS], ids=["watches", "ratings"])
def test_an_empty_history_gets_the_mean_row_and_the_unknown_item_is_zero(config: AutoRecConfig) -> None:
    features = checkerboard().features  # which knows no ratings
    towers = fitted(config)
    queries = towers.encode_queries(np.array([0, 0, 3], np.int32), features)
    assert queries[0].any()
    np.testing.assert_array_equal(queries[0], queries[1])
    assert (queries[2] == queries[0]).all() == (config.reads == "ratings")
    assert not towers.encode_candidates(EVERYTHING[:1], features).any()


@pytest.mark.parametrize("config", [TINY, BY_RATINGS], ids=["watches", "ratings"])
def test_the_serving_form_gives_the_same_queries(config: AutoRecConfig, tmp_path: Path) -> None:
    history = rated() if config.reads == "ratings" else checkerboard().history
    towers, features, users = fitted(config), features_of(history), np.arange(25, dtype=np.int32)
    towers.export(tmp_path, features)
    served = KINDS["autorec"].load_towers(tmp_path, config, towers.encode_candidates(EVERYTHING, features))
    np.testing.assert_array_equal(served.encode_queries(users, features), towers.encode_queries(users, features))


def test_equal_seeds_give_equal_units_and_a_refit_forgets() -> None:
    board, other = checkerboard(), checkerboard(n_users=10, n_items=8)
    told: list[tuple[int, int]] = []
    again = AutoRec(TINY).fit(other.history, other.features, seed=3)
    again.fit(board.history, board.features, seed=0, progress=lambda done, total: told.append((done, total)))
    np.testing.assert_array_equal(
        again.encode_candidates(EVERYTHING, board.features), fitted(TINY).encode_candidates(EVERYTHING, board.features)
    )
    assert told == [(done, TINY.epochs) for done in range(1, len(told) + 1)]


def test_a_history_without_ratings_is_refused() -> None:
    board = checkerboard()
    with pytest.raises(InputError, match="no 'rating' column with a value in it, which autorec learns from"):
        AutoRec(BY_RATINGS).fit(board.history, board.features, seed=0)


def test_a_table_above_the_limit_is_refused() -> None:
    board = checkerboard()
    with pytest.raises(InputError, match="a table of 24 users and 12 items is above autorec's max_cells=287"):
        AutoRec(TINY.model_copy(update={"max_cells": 287})).fit(board.history, board.features, seed=0)


def test_reading_before_fit_is_refused() -> None:
    board = checkerboard()
    with pytest.raises(InputError, match=r"autorec: not fitted; call fit\(\) or load\(\) first"):
        AutoRec(AutoRecConfig()).encode_queries(board.users, board.features)
