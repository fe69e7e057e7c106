"""Costs: those that were measured at the measured sizes, and what lies between and beyond them."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from belfry.pipeline.jobs.estimate import costs
from belfry.pipeline.jobs.estimate.costs import MEBIBYTE, Shape, table_cost, training_cost

PAGE = Path(__file__).parents[4] / "docs" / "results" / "scale.md"


def shape(n_watches):
    return Shape(n_watches, n_watches // 50, n_watches // 100)


def test_the_figures_are_those_of_the_page():
    rows = re.findall(r"^\| ([\d,]+ \|(?: [\d.,]+ \|){15})$", PAGE.read_text(), re.M)
    cells = [[float(cell.replace(",", "")) for cell in row.split("|")[:-1]] for row in rows]
    # watches, users, items, M/s, CPU, bytes, training CPU, wall, peak, bytes, users/s, peak, p50, p99, peak, run
    for place, column in ((0, "WATCHES"), (6, "TRAINING_CPU_S"), (8, "TRAINING_MIB"), (10, "TABLE_USERS_PER_S")):
        assert [row[place] for row in cells] == list(getattr(costs, column))
    for place, column in ((11, "TABLE_MIB"), (15, "RUN_MIB")):
        assert [row[place] for row in cells] == list(getattr(costs, column))


@pytest.mark.parametrize("place", range(3))
def test_measured_sizes_cost_what_was_measured(place):
    cost = training_cost(shape(costs.WATCHES[place]), slowness=2)

    assert cost.cpu_s == (2 * costs.TRAINING_CPU_S[place],) * 2
    assert cost.memory_bytes == (costs.TRAINING_MIB[place] * MEBIBYTE,) * 2
    assert cost.disk_bytes == (costs.RUN_MIB[place] * MEBIBYTE,) * 2


def test_more_costs_more_and_beyond_the_largest_on_a_line():
    found = [training_cost(shape(n)) for n in (1000, 10**5, 3 * 10**5, 10**6, 10**7, 2 * 10**7, 3 * 10**7)]

    for name in ("cpu_s", "memory_bytes", "disk_bytes"):
        lows = [getattr(cost, name)[0] for cost in found]
        assert lows[0] == lows[1]
        assert all(one < more for one, more in pairwise(lows[1:]))
        assert lows[6] - lows[5] == pytest.approx(lows[5] - lows[4])


def test_other_proportions_are_a_range_from_the_watches_to_the_largest_of_all():
    cost = training_cost(Shape(10**6, 20_000, 10**6))

    assert cost.memory_bytes[0] == training_cost(shape(10**6)).memory_bytes[0]
    assert cost.memory_bytes[1] == training_cost(shape(10**8)).memory_bytes[0]


def test_workers_each_hold_the_data():
    assert training_cost(shape(10**6), workers=2).memory_bytes[0] == 2 * costs.TRAINING_MIB[1] * MEBIBYTE


@pytest.mark.parametrize("place", range(3))
def test_tables_cost_what_was_measured(place):
    watches, users = costs.WATCHES[place], costs.TABLE_USERS_PER_S[place]

    cost = table_cost(shape(watches), costs.RUN_MIB[place] * MEBIBYTE, users, 100)

    assert cost.cpu_s == pytest.approx((1, 1))
    assert cost.memory_bytes[0] == costs.TABLE_MIB[place] * MEBIBYTE
    assert cost.disk_bytes[0] == users * 100 * 60
