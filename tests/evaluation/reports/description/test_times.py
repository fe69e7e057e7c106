"""Sessions, weeks, cold share and drift, by hand-worked values."""

import pyarrow as pa
import pytest

from belfry.dataset.interactions import Interactions
from belfry.evaluation.reports.description.times import cold_of, drift_of, times_of

DAY_S = 86_400


def history(user_id: list[int], item_id: list[int], timestamp_s: list[int] | None) -> Interactions:
    table = pa.table({"user_id": user_id, "item_id": item_id})
    return Interactions.from_table(table if timestamp_s is None else table.append_column("timestamp_s", [timestamp_s]))


def test_a_long_pause_ends_a_session() -> None:
    found = times_of(history([1, 2, 1, 1], [1, 1, 2, 3], [0, 0, 1800, 1800 + 1801]))
    assert found is not None
    sessions = found.sessions
    assert (sessions.n, sessions.mean_length) == (3, pytest.approx(4 / 3))
    assert sessions.share_single == pytest.approx(2 / 3)
    assert sessions.share_of_users_with_one == 0.5
    assert sessions.share_same_second == 0


def test_weeks_begin_on_monday_and_empty_ones_are_there() -> None:
    monday = 4 * DAY_S
    found = times_of(history([1] * 3, [1, 2, 3], [monday + 100 * 7 * DAY_S, monday - 1, monday]))
    assert found is not None
    assert found.unit == "week"
    begins, counts = zip(*found.counts, strict=True)
    assert begins[1] == monday * 1000
    assert len(counts) == 102
    assert (counts[0], counts[1], sum(counts)) == (1, 1, 3)


@pytest.mark.parametrize(("days", "unit"), [(20, "day"), (400, "week"), (4000, "month")])
def test_the_unit_fits_the_span(days: int, unit: str) -> None:
    found = times_of(history([1, 1], [1, 2], [0, days * DAY_S]))
    assert found is not None
    assert found.unit == unit
    assert sum(count for _, count in found.counts) == 2


def test_of_the_newest_part_what_was_not_there_before_is_cold() -> None:
    users, items = [1] * 18 + [2, 1], [*range(1, 19), 1, 99]
    found = cold_of(history(users, items, list(range(20))))
    assert found is not None
    assert found.share_newest == pytest.approx(0.1)
    assert (found.watches_of_new_users, found.watches_of_new_items, found.watches_of_either) == (0.5, 0.5, 1)


def test_halves_that_share_nothing_have_moved_whole() -> None:
    n = 200
    found = drift_of(history([1, 2] * (n // 2), [1] * (n // 2) + [2] * (n // 2), list(range(n))))
    assert found is not None
    assert found.moved == 1
    assert found.moved_by_chance < 0.2
    assert (found.n_common_top, found.n_common_top_by_chance) == (0, 2)


def test_halves_that_are_alike_have_not_moved() -> None:
    found = drift_of(history([1, 2, 1, 2], [1, 2, 1, 2], [0, 1, 2, 3]))
    assert found is not None
    assert found.moved == 0
    assert all(measure.difference == 0 for measure in found.measures)


@pytest.mark.parametrize("times", [None, [5, 5, 5]])
def test_without_times_that_differ_nothing_is_new(times: list[int] | None) -> None:
    found = history([1, 2, 3], [1, 2, 3], times)
    assert cold_of(found) is None
    assert drift_of(found) is None
