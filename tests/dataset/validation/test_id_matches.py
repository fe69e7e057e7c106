"""How the ids of two tables meet: what is certainly wrong is refused with the likely cause, the rest is counted."""

import pyarrow as pa
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check

N = 40


def tables(ids: list[object], known: list[object]) -> Tables:
    events = pa.table({"user_id": [row % 3 for row in range(len(ids))], "item_id": ids})
    return Tables(events, pa.table({"item_id": known}))


@pytest.mark.parametrize(
    ("here", "there", "cause"),
    [
        ("{}", "{:03d}", "zeros in front, signs or decimals alone ('0' here, '000' there)"),
        ("{}", "{}.0", "zeros in front, signs or decimals alone ('0' here, '0.0' there)"),
        ("b{}", "B{}", "capital letters alone ('b0' here, 'B0' there)"),
        ("{}", "item-{}", "what stands before each alone ('0' here, 'item-0' there)"),
        ("{}", "'{}'", "quotes alone ('0' here, \"'0'\" there)"),
    ],
)
def test_a_table_that_never_meets_is_refused_with_the_cause(here: str, there: str, cause: str) -> None:
    with pytest.raises(TableError) as caught:
        check(tables([here.format(n) for n in range(N)], [there.format(n) for n in range(N)]))
    assert f"; {N} differ by {cause}; write both alike, or leave the table out" in str(caught.value)
    assert "error: items: column 'item_id' meets no other: of its 40 ids (" in str(caught.value)


def test_a_table_that_never_meets_without_a_cause() -> None:
    with pytest.raises(TableError) as caught:
        check(tables([1, 2, 3], [7, 8, 9, 10]))
    assert "of its 4 ids (7, 8, 9, ...) none is among the 3 of interactions (1, 2, 3); write both alike" in str(
        caught.value
    )


def test_a_table_of_users_that_never_meets() -> None:
    events = pa.table({"user_id": ["a", "b"], "item_id": [1, 2]})
    with pytest.raises(TableError, match=r"users: column 'user_id' meets no other: of its 2 ids \('A', 'B'\)"):
        check(Tables(events, users=pa.table({"user_id": ["A", "B"]})))


def test_hardly_any_meets() -> None:
    _, report = check(tables(list(range(N)), [0, *range(100, 100 + N)]))
    assert report.lines() == [
        "note: interactions: column 'item_id' only 1 of 40 ids are among the 41 of items; it has 39 rows whose id the "
        "table items lacks; kept, without features"
    ]


def test_a_small_table_of_which_all_meet_is_no_reason_to_worry() -> None:
    _, report = check(tables(list(range(N)), [0]))
    assert report.lines() == [
        "note: interactions: column 'item_id' has 39 rows whose id the table items lacks; kept, without features"
    ]


def test_zeros_that_some_ids_have_lost() -> None:
    _, report = check(tables(["7", "8", "107", "x"], ["007", "008", "107", "y"]))
    assert (
        "has 3 rows whose id the table items lacks; 2 differ by zeros in front, signs or decimals alone ('7' here, "
        in (report.lines()[0])
    )


def test_text_beside_numbers() -> None:
    with pytest.raises(TableError) as caught:
        check(tables([7, 8, 107], ["007", "008", "107"]))
    assert (
        "items: column 'item_id' is string, but int64 in interactions; 1 and '1' are never merged: cast one of the two;"
        " 3 of its ids ('007', '008', '107') are such numbers, but for their spelling"
    ) in str(caught.value)
