"""Order: rows or a column say which events came first, and times that only count are no clock."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.folds import default_holdout, make_folds
from belfry.dataset.prepare import prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check, keep_repeats
from belfry.dataset.validation.policy import Policy

FIRST_S = 1_500_000_000
LATE = 100_000  # seconds; a day has 86,400


def events(**columns: object) -> pa.Table:
    return pa.table({"user_id": [1, 1, 1, 2, 2], "item_id": [9, 5, 7, 5, 9], **columns})


def histories(table: pa.Table, policy: Policy | None = None) -> dict[int, list[int]]:
    """Item ids of each user, oldest first, and that order is known where it was asked for."""
    history = prepare(check(Tables(table), policy or Policy())[0]).interactions
    assert history.is_ordered
    by_user = history.by_user
    return {user: history.items.take(history.item_num[by_user.of(user)]).to_pylist() for user in (1, 2)}


def notes(table: pa.Table, policy: Policy | None = None) -> list[str]:
    return check(Tables(table), policy or Policy())[1].lines()


def test_rows_in_order() -> None:
    assert histories(events(), Policy(order="rows")) == {1: [9, 5, 7], 2: [5, 9]}
    assert not prepare(check(Tables(events()))[0]).interactions.is_ordered


@pytest.mark.parametrize(
    "places",
    [
        [3, 10, 2, 1, 0],
        [0.3, 1e9, 0.2, -1.0, -np.inf],
        ["3", "10", "2", "1", "0"],  # as numbers
        ["c", "d", "b", "a", " "],
        pa.array([3, 10, 2, 1, 0], pa.timestamp("ms")),
        pa.array([3, 10, 2, 1, 0], pa.date32()),
        pa.array([3, 10, 2, 1, 0]).dictionary_encode(),
        pa.array([3, 10, 2, 1, 0]).cast(pa.decimal128(20, 0)),
    ],
    ids=["integer", "float", "digits", "text", "date-time", "date", "dictionary", "decimal"],
)
def test_a_column_gives_the_order(places: object) -> None:
    assert histories(events(place=places), Policy(order="place")) == {1: [7, 9, 5], 2: [9, 5]}
    assert notes(events(place=places), Policy(order="place")) == []


def test_a_place_is_part_of_what_repeats() -> None:
    """Without times and order, a second watch of an item is a repeated row; in an order it is an event."""
    table = pa.table({"user_id": [1, 1, 1, 2], "item_id": [5, 6, 5, 5], "place": [1, 2, 3, 1]})
    assert len(check(Tables(table))[0].interactions) == 3
    assert histories(table, Policy(order="rows"))[1] == [5, 6, 5]
    assert histories(table, Policy(order="place"))[1] == [5, 6, 5]
    twice = pa.concat_tables([table, table])
    assert histories(twice, Policy(order="place"))[1] == [5, 6, 5]
    assert histories(twice, Policy(order="rows"))[1] == [5, 6, 5, 5, 6, 5]


def test_lists_with_repeats_keep_rows_that_nothing_orders() -> None:
    """An order or times tell events apart, and what is the same by them is one event."""
    table = pa.table({"user_id": [1, 1, 1, 2], "item_id": [5, 5, 5, 6], "place": [1, 2, 2, 1]})
    for policy, n_kept in ((Policy(), 4), (Policy(repeated_event="drop"), 2), (Policy(order="place"), 3)):
        assert len(check(Tables(table), keep_repeats(policy, Tables(table)))[0].interactions) == n_kept
    assert keep_repeats(Policy(order="rows"), Tables(table)) == Policy(order="rows")


def test_two_events_of_one_place_are_one() -> None:
    table = pa.table(
        {"user_id": [1, 1, 2], "item_id": [5, 5, 6], "event": ["watched", "rated", None], "place": [1, 1, 1]}
    )
    assert len(prepare(check(Tables(table), Policy(order="place"))[0]).interactions) == 2
    assert len(prepare(check(Tables(table), Policy(order="rows"))[0]).interactions) == 3


def test_equal_places_go_by_the_rows_and_are_named() -> None:
    table = events(place=[4, 4, 1, 8, 8])
    assert histories(table, Policy(order="place")) == {1: [7, 9, 5], 2: [5, 9]}
    assert notes(table, Policy(order="place")) == [
        "note: interactions: column 'place' has 2 rows that share their value with another row of their user (first in "
        "rows 1, 4); the order of the rows decides between them"
    ]


def test_rows_without_a_place() -> None:
    table = events(place=[1, None, 3, 4, 5])
    with pytest.raises(
        TableError, match=r"column 'place' has 1 nulls \(first in row 1\); drop or fill them, or --set data.bad_o"
    ):
        check(Tables(table), Policy(order="place"))
    assert histories(table, Policy(order="place", bad_order="drop")) == {1: [9, 7], 2: [5, 9]}
    with pytest.raises(TableError, match="column 'place' has 5 nulls"):
        check(Tables(events(place=pa.nulls(5))), Policy(order="place"))


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("plaace", "column 'plaace' is named by data.order and missing; there are .*: did you mean data.order=place?"),
        ("turn", "column 'turn' is named by data.order and missing; .*name one, or 'rows' where the rows are in order"),
        ("parts", "column 'parts' is list<.*>; an order is told by numbers, date-times or text"),
        ("timestamp_s", "column 'timestamp_s' is named by data.order and missing"),
    ],
)
def test_an_order_that_cannot_be_read(order: str, message: str) -> None:
    table = events(place=range(5), parts=[["a"]] * 5)
    with pytest.raises(TableError, match=message):
        check(Tables(table), Policy(order=order))


def test_an_order_goes_before_times_which_stay_the_clock() -> None:
    times = [FIRST_S + step * LATE for step in (1, 3, 2, 4, 5)]
    table = events(timestamp_s=times)
    assert histories(table) == {1: [9, 7, 5], 2: [5, 9]}
    assert histories(table, Policy(order="rows")) == {1: [9, 5, 7], 2: [5, 9]}
    history = prepare(check(Tables(table), Policy(order="rows"))[0]).interactions
    assert history.timestamp_s is not None and history.timestamp_s.tolist() == times
    assert notes(table, Policy(order="rows")) == [
        "note: interactions: column 'timestamp_s' has 1 rows that are older than the row before them of their user "
        "(first in rows 2); data.order=rows decides which came first, and the times stay the clock"
    ]


@pytest.mark.parametrize(
    ("times", "limits"),
    [
        ([3, 10, 2, 1, 0], "0 to 10"),
        ([0, 86_399, 7, 5, 4], "0 to 86399"),
        ([0, 1, 2, 0, 1], "0 to 2"),
        ([9, 4, 3, 2, 1], "1 to 9"),
    ],
)
def test_small_counters_are_an_order(times: list[int], limits: str) -> None:
    table = events(timestamp_s=times)
    checked, report = check(Tables(table))
    data = prepare(checked)
    assert data.interactions.timestamp_s is None and data.interactions.is_ordered
    assert report.lines() == [
        f"note: interactions: column 'timestamp_s' holds times that all lie within one day of 1970 ({limits}: are they "
        "days, or years?), which is no clock: events are ordered by it, and what needs a clock is left out; hand in "
        "seconds since 1970 in UTC (days times 86,400) or date-times (pandas.to_datetime), or say "
        "data.order=timestamp_s where it is an order"
    ]
    assert histories(table) == histories(table, Policy(order="timestamp_s"))
    assert notes(table, Policy(order="timestamp_s")) == []


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize(("n_users", "where"), [(LATE // 2, "table"), (2, "history of its user")])
def test_long_counters_are_an_order(n_users: int, where: str, start: int) -> None:
    """Of rows that another sort has shuffled, too, where the places are those in the histories."""
    user = np.repeat(np.arange(n_users), 2 * LATE // n_users)
    counter = start + (np.arange(len(user)) if where == "table" else np.arange(len(user)) % LATE)
    rows = np.arange(len(user)) if where == "table" else np.random.default_rng(0).permutation(len(user))
    table = pa.table(
        {"user_id": user[rows], "item_id": user[rows] % 7 + counter[rows] % 5, "timestamp_s": counter[rows]}
    )
    checked, report = check(Tables(table))
    assert "timestamp_s" not in checked.interactions.column_names
    assert f"holds the place of each row in the {where}, which is no clock" in report.lines()[0]
    moved = table.set_column(2, "timestamp_s", pa.array(counter[rows] + 2))
    assert "timestamp_s" in check(Tables(moved))[0].interactions.column_names


def test_one_small_time_for_all_is_no_order_either() -> None:
    table = events(timestamp_s=[0] * 5)
    checked, report = check(Tables(table))
    assert not prepare(checked).interactions.is_ordered
    assert report.lines() == [
        "note: interactions: column 'timestamp_s' holds 0 in every row, which is no clock: left out; hand in seconds "
        "since 1970 in UTC (days times 86,400) or date-times (pandas.to_datetime), or remove it"
    ]


def test_a_counter_beside_an_order_is_left_out() -> None:
    table = events(timestamp_s=range(5), place=[3, 10, 2, 1, 0])
    assert histories(table, Policy(order="place")) == {1: [7, 9, 5], 2: [9, 5]}
    (note,) = notes(table, Policy(order="place"))
    assert "which is no clock: left out" in note


def test_rows_that_were_sorted_by_item_are_named() -> None:
    generator = np.random.default_rng(0)
    item = np.concatenate([generator.permutation(8) for _ in range(4)])
    user = np.repeat(np.arange(4), 8)
    assert notes(pa.table({"user_id": user, "item_id": item}), Policy(order="rows")) == []
    by_item = np.lexsort((item, user))
    table = pa.table({"user_id": user[by_item], "item_id": item[by_item]})
    assert notes(table) == []
    assert notes(table, Policy(order="rows")) == [
        "note: interactions: column 'item_id' rises within every user: the rows look sorted by it, which "
        "data.order=rows takes for their order; hand them in as they happened, or leave data.order out"
    ]


def test_a_label_column_moves_with_its_row() -> None:
    table = events(place=[3, 10, 2, 1, 0], finished=[1, 2, 3, 4, 5])
    checked, _ = check(Tables(table, label_columns=("finished",)), Policy(order="place"))
    assert prepare(checked).interactions.labels["finished"].tolist() == [5, 4, 3, 1, 2]


def test_order_alone_holds_back_last_events() -> None:
    ordered = prepare(check(Tables(events()), Policy(order="rows"))[0]).interactions
    assert default_holdout(ordered) == "last"
    (fold,) = make_folds(ordered, "last", n_folds=2, seed=0)
    assert fold.later.items.take(fold.later.item_num).to_pylist() == [7, 9]
    assert fold.history.is_ordered
    lonely = pa.table({"user_id": [1, 2], "item_id": [1, 2]})
    assert default_holdout(prepare(check(Tables(lonely), Policy(order="rows"))[0]).interactions) == "random"
