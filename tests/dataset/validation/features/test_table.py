import pyarrow as pa

from belfry.dataset.prepare import prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import Policy, check
from belfry.dataset.validation.features.table import column_uses, lines_of

N = 12
ITEMS = pa.table(
    {
        "item_id": [f"i{k}" for k in range(N)],
        "title": [f"film {k % 3}" for k in range(N)],
        "genres": ["a|b", "b", None] * (N // 3),
        "year": [float(k) if k else None for k in range(N)],
        "same": ["x"] * N,
        "n_plays": [k % 5 for k in range(N)],
    }
)
EVENTS = pa.table(
    {
        "user_id": [k % 4 for k in range(2 * N)],
        "item_id": [f"i{k % N}" for k in range(2 * N)],
        "timestamp_s": [1_600_000_000 + 3600 * k * k for k in range(2 * N)],
        "device": ["phone"] * (2 * N),
    }
)


def test_every_column_is_told_as_it_was_taken() -> None:
    raw = Tables(EVENTS, ITEMS, text_columns=("title",), usage_columns=("n_plays",))
    checked, _ = check(raw, Policy(list_columns=("genres",)))
    uses = {(use.table, use.column): use for use in column_uses(raw, checked, prepare(checked))}
    assert {place: use.taken_as for place, use in uses.items()} == {
        ("interactions", "user_id"): "user id",
        ("interactions", "item_id"): "item id",
        ("interactions", "timestamp_s"): "time (UTC)",
        ("interactions", "device"): "not used",
        ("items", "item_id"): "item id",
        ("items", "title"): "title and its words",
        ("items", "genres"): "list",
        ("items", "year"): "number",
        ("items", "same"): "left out",
        ("items", "n_plays"): "number, by use",
    }
    assert (uses["items", "genres"].distinct, uses["items", "genres"].missing) == (2, N // 3)
    assert uses["items", "genres"].examples == ("a|b", "b")
    assert (uses["items", "year"].distinct, uses["items", "year"].missing) == (N - 1, 1)
    assert uses["interactions", "timestamp_s"].examples[0] == "2020-09-13"


def test_the_lines_are_cut_where_there_are_many_columns() -> None:
    raw = Tables(EVENTS, pa.table({"item_id": ITEMS["item_id"], **{f"c{k}": ITEMS["title"] for k in range(60)}}))
    checked, _ = check(raw)
    uses = column_uses(raw, checked, None)
    lines = lines_of(uses)
    assert lines[0].split() == ["table", "column", "taken", "as", "distinct", "missing", "examples"]
    assert len(lines) == 1 + 4 + 41
    assert lines[-1].split() == ["items", "and", "21", "more"]
    assert len(lines_of(uses, most=None)) == 1 + 4 + 61
