"""Counterfactual estimates of made-up logs whose truth is known, one worked by hand, and refusals in words."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.evaluation.reports.counterfactual import SHOWN, Log, Policy, against_shown, evaluate_log, lines_of

N_USERS, N_ITEMS, N = 400, 12, 3
USERS = np.arange(1, N_USERS + 1, dtype=np.int32)
WORTH = np.linspace(0.05, 0.6, N_ITEMS)  # chance that a shown item is taken, by item
LEAST, MOST = (np.tile(items, (N_USERS, 1)) for items in ([1, 2, 3], [10, 11, 12]))  # lists of items by their worth


def made_log(generator, chances, n_rows=20):
    """Rows of every user, single items drawn with `chances`."""
    row = np.repeat(np.arange(N_USERS), n_rows)
    item = generator.choice(N_ITEMS, len(row), p=chances)
    reward = (generator.random(len(row)) < WORTH[item]).astype(np.float64)
    return Log.of_items(USERS, row, item + 1, reward, chances[item])


def judge(log, **more):
    return evaluate_log(log, Policy.of_lists("A", LEAST, log), Policy.of_lists("B", MOST, log), seed=0, **more)


def test_every_estimator_finds_the_truth_under_a_skewed_log():
    chances = np.linspace(3, 1, N_ITEMS) / np.linspace(3, 1, N_ITEMS).sum()
    truth = WORTH[:3].mean(), WORTH[-3:].mean()
    inside = 0
    for seed in range(10):
        found = judge(made_log(np.random.default_rng(seed), chances))
        assert not found.refused
        assert found.support_baseline == pytest.approx(1, abs=0.15)
        for value in found.values:
            assert value.baseline == pytest.approx(truth[0], abs=0.05)
            assert value.challenger == pytest.approx(truth[1], abs=0.06)
            inside += value.low <= truth[1] - truth[0] <= value.high
    assert inside >= 26  # of 30, which 95% intervals fall short of in 1 of 50 cases
    widths = {value.estimator: value.high - value.low for value in found.values}
    assert widths["doubly robust"] < widths["IPS"]
    # All weights are equal for the items of a list only where the log is uniform; here some rows are worth less.
    n_shown = sum(item >= 10 for item in made_log(np.random.default_rng(9), chances).item_num)
    assert 0.9 * n_shown < found.effective_challenger <= n_shown


def test_lists_with_drawn_places_by_hand():
    """Users are shown a for sure, and c or d with a chance of 1/2: three of five c, and earn (1, 1), the others (0, 1).

    In the lists (a, c) a row of a weighs 1/2 and one of c 1. So IPS is 3/5 (1/2 + 1), and SNIPS that over the mean
    weight 1/2 + 3/5. Each fold's model, of 160 users of the others, steadied by 10 rows of their mean 256 / 320: a
    (96 + 8) / (160 + 10), c (96 + 8) / (96 + 10).
    """
    n_users = 200
    has_c = np.arange(n_users) // 5 % 5 < 3
    row = np.repeat(np.arange(n_users), 2)
    item = np.column_stack([np.ones(n_users, np.int64), np.where(has_c, 3, 4)]).ravel()
    reward = np.column_stack([has_c, np.ones(n_users)]).ravel()
    chance = np.tile([1, 0.5], n_users)
    log = Log(np.arange(1, n_users + 1), row, item, reward, chance, np.ones(n_users, np.int64))
    lists = np.tile([1, 3], (n_users, 1))
    found = against_shown(log, "B", lists, seed=0)
    assert (found.refused, found.n_lists, found.n_rows) == ((), 200, 400)
    assert found.support_challenger == pytest.approx(1.1)
    assert found.effective_challenger == pytest.approx(220**2 / (200 / 4 + 120))
    a, c = 104 / 170, 104 / 106
    robust = (a + c) / 2 + 0.6 * ((1 - a) / 2 + (1 - c)) - 0.4 * a / 2
    assert [value.baseline for value in found.values] == pytest.approx([0.8] * 3)  # as shown
    assert [value.challenger for value in found.values] == pytest.approx([0.9, 0.9 / 1.1, robust])
    assert all(value.challenger_low < value.challenger < value.challenger_high for value in found.values)
    assert lines_of(found, (SHOWN, "B")) == [
        "400 rows of the log, 200 lists of 200 users; worth 400 rows for as shown and 285 for B."
    ]
    cut = against_shown(replace(log, clip=1.5), "B", lists, seed=0)
    assert (cut.clipped_challenger, cut.clipped_baseline) == (120 / 320, 0)
    assert cut.values[0].challenger == pytest.approx(0.6 * (0.5 + 0.75))
    assert "cut for 0.0% and 37.5% of the rows that count, so that values are too low" in lines_of(cut, ("A", "B"))[1]


def test_lists_that_were_made_of_the_log_are_refused():
    """Each user's list is what they were shown, though its second item had a chance of 1/4."""
    row, item = np.repeat(np.arange(80), 2), np.tile([1, 2, 1, 3], 40)
    log = Log(np.arange(1, 81), row, item, np.ones(160), np.tile([1, 0.25], 80), np.ones(80, np.int64))
    (reason,) = against_shown(log, "B", item.reshape(80, 2), seed=0).refused
    assert reason.startswith("the log shows what B lists more often than by chance (weights average 2.50 instead of 1)")


def test_a_user_of_many_lists_counts_by_them():
    """Two lists of one user and one of another; each place is worth what was shown there."""
    row = np.repeat([0, 0, 1], 40)
    item = np.tile(np.arange(1, 41), 3)
    reward = np.repeat([1.0, 0.0, 0.0], 40)
    log = Log(np.array([1, 2]), row, item, reward, np.ones(120), np.array([2, 1]))
    found = against_shown(log, "B", np.tile(np.arange(1, 41), (2, 1)), seed=0)
    for value in found.values[:2]:
        assert value.baseline == value.challenger == pytest.approx(1 / 3)


def test_unknown_items_are_shown_and_never_listed():
    log = Log.of_items(np.array([1]), np.zeros(50, np.int64), np.zeros(50, np.int64), np.ones(50), np.ones(50))
    found = against_shown(log, "B", np.array([[1, 0, 0]]), seed=0)
    assert found.refused == ("no row of the log shows an item that B lists for its user",)


def test_a_list_that_the_log_never_shows_is_refused():
    chances = np.append(np.full(N_ITEMS - 3, 1 / (N_ITEMS - 3)), np.zeros(3))
    found = judge(made_log(np.random.default_rng(0), chances))
    assert found.refused == ("no row of the log shows an item that B lists for its user",)
    assert found.values == ()


def test_a_list_that_the_log_shows_in_part_is_refused():
    chances = np.append(np.full(N_ITEMS - 2, 1 / (N_ITEMS - 2)), np.zeros(2))
    found = judge(made_log(np.random.default_rng(0), chances))
    assert len(found.refused) == 1
    assert "could have shown only 3" in found.refused[0]  # a third


def test_a_log_of_a_few_rows_is_refused():
    log = made_log(np.random.default_rng(0), np.full(N_ITEMS, 1 / N_ITEMS))
    few = Log.of_items(log.users[:3], log.row[:60], log.item_num[:60], log.reward[:60], log.propensity[:60])
    policies = (Policy.of_lists(name, lists[:3], few) for name, lists in (("A", LEAST), ("B", MOST)))
    assert "at least 30 are needed" in evaluate_log(few, *policies, seed=0).refused[0]
