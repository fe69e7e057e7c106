"""Cosine, BM25 and rules: sums over the newest items of a history, of those whose neighbours a candidate is among."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import bm25_neighbours, cosine_neighbours, largest_of_rows, sequential_rules
from belfry.ranking.features.neighbours.similar import Bm25, Cosine, Next, Rules
from belfry.ranking.features.neighbours.table import NeighbourTable
from belfry.ranking.features.pair_features import PairFeatures
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of

OF_RULES = {"n_steps": CONFIG.rule_steps, "backward": CONFIG.rule_backward, "n_neighbours": 99}
N_READ = 3  # of events, in the test of the newest ones


def decaying(half_life: float) -> dict[int, float]:
    return {age: 0.5 ** (age / half_life) for age in range(CONFIG.recent_history)}


WEIGHT_OF_AGE = {
    "cosine_recency": decaying(5),
    "bm25_recency": decaying(2),
    "bm25_uniform": dict.fromkeys(range(CONFIG.recent_history), 1.0),
    "rules_half_life_0.5": decaying(0.5),
    "rules_half_life_2": decaying(2),
    "rules_half_life_20": decaying(20),
    "rules_second_newest": {1: 1.0},
    "rules_third_newest": {2: 1.0},
    "next_newest": {0: 1.0},
}


def all_pairs(world: FeatureTables, group: str) -> np.ndarray:
    """[n_items + 1 watched, n_items + 1] the four nearest of each watched item."""
    history = world.history
    pairs = {
        "cosine": cosine_neighbours(history.matrix, n_neighbours=4, shrink=1.0),
        "bm25": bm25_neighbours(history, n_neighbours=99),
        "rules": sequential_rules(history, **OF_RULES),
        "next": sequential_rules(history, n_steps=1, backward=0, n_neighbours=99),
    }
    nearest = largest_of_rows(pairs[group], 4)
    assert np.diff(nearest.indptr).max() == 4
    return nearest.toarray()


def slow_column(world: FeatureTables, asked: Candidates, column: str, n_read: int) -> list[float]:
    """Event by event."""
    history, said = world.history, all_pairs(world, column.partition("_")[0])
    values = []
    for user, candidate in zip(asked.user_num, asked.item_num, strict=True):
        newest_first = history.item_num[history.by_user.of(user)][::-1]
        ages = range(min(len(newest_first), n_read))
        values.append(sum(WEIGHT_OF_AGE[column].get(age, 0) * said[newest_first[age], candidate] for age in ages))
    return values


@pytest.mark.parametrize("column", WEIGHT_OF_AGE)
def test_a_column_sums_what_the_watches_say_of_a_candidate(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], column: str
) -> None:
    expected = slow_column(world, asked, column, CONFIG.recent_history)
    np.testing.assert_allclose(columns[column], expected, rtol=1e-5, atol=1e-6)
    assert columns[column].any()


@pytest.mark.parametrize("column", WEIGHT_OF_AGE)
def test_only_the_newest_events_are_read(world: FeatureTables, asked: Candidates, column: str) -> None:
    columns = matrix_of(world, asked, CONFIG.model_copy(update={"recent_history": N_READ}))
    np.testing.assert_allclose(columns[column], slow_column(world, asked, column, N_READ), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("table", "needs_order"), [(Cosine, False), (Bm25, False), (Rules, True), (Next, True)])
def test_what_came_after_what_is_no_feature_of_events_without_order(
    world: FeatureTables, table: type[NeighbourTable], needs_order: bool
) -> None:
    untimed = replace(world, history=replace(world.history, timestamp_s=None))
    in_order = replace(untimed, history=replace(untimed.history, rows_in_order=True))
    assert table.can_fit(world, CONFIG)
    assert table.can_fit(in_order, CONFIG)
    assert table.can_fit(untimed, CONFIG) is not needs_order
    names = PairFeatures.fit(untimed, CONFIG).names(untimed)
    assert any(name.startswith(f"{table.name}_") for name in names) is not needs_order


def test_rows_in_order_make_the_rules_that_times_make(world: FeatureTables) -> None:
    assert world.history.timestamp_s is not None
    sorted_rows = world.history.select(np.argsort(world.history.timestamp_s, kind="stable"))
    in_order = replace(world, history=replace(sorted_rows, timestamp_s=None, rows_in_order=True))
    asked = candidates_for(world, [1, 2, 3])
    columns, others = matrix_of(world, asked), matrix_of(in_order, asked)
    for name in WEIGHT_OF_AGE:
        np.testing.assert_allclose(columns[name], others[name], rtol=1e-5, err_msg=name)
