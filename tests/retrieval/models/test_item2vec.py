"""Item2Vec: the promises, gradients against differences, and what is sampled."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.interactions import Interactions
from belfry.retrieval.models.item2vec import Item2Vec, Item2VecConfig, _batches, _pairs, _step, _Table
from tests.contracts.checkerboard import Checkerboard, checkerboard, features_of
from tests.contracts.factors import ITEMS, FactorTowersPromises

TINY = Item2VecConfig(embedding_size=8, batch_size=32, n_candidates=16, epochs=60)


class TestItem2VecPromises(FactorTowersPromises):
    config = TINY


class TestItem2VecWithRecencyPromises(FactorTowersPromises):
    config = TINY.model_copy(update={"half_life": 3.0, "window": 4})


class TestUser2VecPromises(FactorTowersPromises):
    config = TINY.model_copy(update={"users": "vector"})
    folds_in = False  # under the vocabulary of the fit; `test_only_users_of_the_fit_have_vectors`


@pytest.fixture(scope="module")
def board() -> Checkerboard:
    return checkerboard()


def test_a_step_follows_the_gradient_of_the_objective() -> None:
    """Of four items and two users, who stand behind them."""
    config, generator = TINY.model_copy(update={"n_negatives": 2, "user_l2": 0.3}), np.random.default_rng(0)
    start, other = (generator.normal(size=(n, 3)).astype(np.float32) for n in (6, 4))
    centres, targets, negatives = np.int32([1, 2, 2, 5]), np.int32([3, 1, 2, 3]), np.int32([2, 3, 3, 1])

    def objective(inputs: np.ndarray, outputs: np.ndarray) -> float:
        positive = (inputs[centres] * outputs[targets]).sum(axis=1)
        negative = inputs[centres] @ outputs[negatives].T
        loss = np.logaddexp(0, -positive).sum() + 2 * np.logaddexp(0, negative).mean(axis=1).sum()
        return float(-loss - 0.3 / 2 * (inputs[5] ** 2).sum())

    tables = [_Table(values.copy(), 1e-3) for values in (start, other)]
    gradients = [np.zeros_like(values, np.float64) for values in (start, other)]
    for table, values in enumerate((start.astype(np.float64), other.astype(np.float64))):
        for place in np.ndindex(values.shape):
            up, down = ([start.astype(np.float64), other.astype(np.float64)] for _ in range(2))
            up[table][place] += 1e-5
            down[table][place] -= 1e-5
            gradients[table][place] = (objective(*up) - objective(*down)) / 2e-5
    _step(*tables, centres, targets, negatives, config)
    for table, values, gradient in zip(tables, (start, other), gradients, strict=True):
        np.testing.assert_allclose(table._squares, gradient**2 + 1e-6, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(table.values - values, 1e-3 * gradient / np.sqrt(gradient**2 + 1e-6), atol=1e-5)


def in_order() -> Interactions:
    """One user watches items 1 to 6 one after another, another watches item 7 once."""
    table = pa.table({"user_id": [1] * 6 + [2], "item_id": range(1, 8), "timestamp_s": range(7)})
    return Interactions.from_table(table)


@pytest.mark.parametrize(("window", "furthest"), [(None, 5), (2, 2), (1, 1)])
def test_neighbours_are_others_of_the_same_user_within_the_window(window: int | None, furthest: int) -> None:
    history, generator = in_order(), np.random.default_rng(0)
    config = TINY.model_copy(update={"window": window})
    drawn = [_pairs(history, history.item_counts, config, generator) for _ in range(200)]
    events, neighbours = (np.concatenate(part) for part in zip(*drawn, strict=True))
    assert len(events) == 200 * 6  # the watch without a neighbour is in no pair
    apart = np.abs(history.item_num[events] - history.item_num[neighbours])
    assert set(apart) == set(range(1, furthest + 1))
    assert set(history.user_num[neighbours]) == {1}
    of_third = neighbours[history.item_num[events] == 3]
    n_alike = np.bincount(of_third)[np.unique(of_third)]
    assert n_alike.min() > 0.6 * n_alike.mean()  # all alike


def test_frequent_items_are_subsampled(board: Checkerboard) -> None:
    table = pa.table(
        {"user_id": np.repeat(np.arange(50), 2), "item_id": np.stack([np.arange(50), np.full(50, 99)], 1).ravel()}
    )
    history = Interactions.from_table(table)
    config = TINY.model_copy(update={"subsample": 0.125})  # half of all watches: sqrt(1 / 4) are kept
    events, _ = _pairs(history, history.item_counts, config, np.random.default_rng(0))
    assert 10 < len(events) / 2 < 40  # whose frequent half was kept still has a neighbour


@pytest.mark.parametrize(("power", "share"), [(0.0, 1 / 7), (1.0, 13 / 19), (0.5, 13**0.5 / (13**0.5 + 6))])
def test_negatives_follow_popularity_to_the_power(power: float, share: float) -> None:
    table = in_order().to_table()
    history = Interactions.from_table(pa.concat_tables([table, *[table.slice(6)] * 12]))
    config = TINY.model_copy(update={"power": power, "n_candidates": 20_000})
    (_, _, negatives), *_ = _batches(history, np.bincount(history.item_num), config, np.random.default_rng(0))
    assert negatives.min() == 1
    assert (negatives == 7).mean() == pytest.approx(share, abs=0.02)


def test_without_a_history_the_most_popular_are_best(board: Checkerboard) -> None:
    history = board.history.select((board.history.item_num != 5) | (board.history.user_num < 4))
    history = history.select(history.item_num != 7)
    towers = Item2Vec(TINY).fit(history, features_of(history), seed=0)
    scores = (
        towers.encode_queries(np.zeros(1, np.int32), features_of(history))
        @ towers.encode_candidates(ITEMS[1:], features_of(history)).T
    )
    assert np.argsort(scores[0])[:2].tolist() == [6, 4]


def test_with_a_half_life_the_newest_watch_counts_most(board: Checkerboard) -> None:
    towers = Item2Vec(TINY.model_copy(update={"half_life": 1.0})).fit(board.history, board.features, seed=0)
    oldest_first = board.history.item_num[board.history.by_user.of(3)]
    weights = 0.5 ** np.arange(len(oldest_first))[::-1]
    expected = weights / weights.sum() @ towers.learned["item_vectors"][oldest_first]
    found = towers.encode_queries(np.array([3], np.int32), board.features)[0]
    np.testing.assert_allclose(found, [*expected, 1], rtol=1e-4)


def test_only_users_of_the_fit_have_vectors(board: Checkerboard) -> None:
    """The unknown and those without events get their bag, and so does everybody under another vocabulary."""
    history = board.history.select(board.history.user_num != 2)
    bags = Item2Vec(TINY).fit(history, features_of(history), seed=0)
    towers = Item2Vec(TINY.model_copy(update={"users": "vector"})).fit(history, features_of(history), seed=0)
    bags.learned["item_vectors"][:] = towers.learned["item_vectors"]
    known, late = np.array([1, 3], np.int32), np.array([2, 0], np.int32)
    vectors = towers.encode_queries(known, board.features)
    np.testing.assert_array_equal(vectors[:, :-1], towers.learned["user_vectors"][known])
    np.testing.assert_array_equal(
        towers.encode_queries(late, board.features), bags.encode_queries(late, board.features)
    )
    elsewhere = checkerboard(n_users=20)
    np.testing.assert_array_equal(
        towers.encode_queries(known, elsewhere.features), bags.encode_queries(known, elsewhere.features)
    )


def test_item_vectors_of_one_side_are_near(board: Checkerboard) -> None:
    history = board.history.select(board.history.item_num != 5)
    vectors = Item2Vec(TINY).fit(history, features_of(history), seed=4).learned["item_vectors"]
    assert (vectors.shape, vectors.dtype) == ((13, 8), np.float32)
    assert np.flatnonzero(~vectors.any(axis=1)).tolist() == [0, 5]
    even, odd = vectors[[2, 4, 6, 8, 10, 12]], vectors[[1, 3, 7, 9, 11]]
    assert (even @ even.T).mean() > 0 > (even @ odd.T).mean()


def test_histories_of_one_event_are_refused() -> None:
    history = Interactions.from_table(pa.table({"user_id": [1, 2], "item_id": [1, 1]}))
    with pytest.raises(InputError, match="no user has two events, so item2vec has no neighbours to learn from"):
        Item2Vec(TINY).fit(history, features_of(history), seed=0)


@pytest.mark.parametrize("name", ["window", "half_life"])
def test_order_without_times_names_the_column(board: Checkerboard, name: str) -> None:
    history = Interactions.from_table(board.history.to_table().drop_columns("timestamp_s"))
    model = Item2Vec(TINY.model_copy(update={name: 3}))
    with pytest.raises(InputError, match=f"item2vec: {name} needs a column 'timestamp_s'.*set {name} to none"):
        model.fit(history, features_of(history), seed=0)
    ordered = replace(history, rows_in_order=True)
    assert model.fit(ordered, features_of(ordered), seed=0)


def test_divergence_names_the_step_and_the_array(board: Checkerboard) -> None:
    config = TINY.model_copy(update={"learning_rate": 1e9})
    with pytest.raises(
        DivergenceError, match=r"'item_vectors' reach 1e\+09 in epoch 1, step \d; lower its learning_rate"
    ):
        Item2Vec(config).fit(board.history, board.features, seed=0)
