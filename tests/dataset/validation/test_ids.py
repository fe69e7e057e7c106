"""Ids of other people's tables: words for null, spellings, types; the same interactions or a refusal."""

import unicodedata
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.dataset.errors import TableError
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check, examine
from belfry.dataset.validation.ids import ids_like
from belfry.dataset.validation.policy import DEFAULT_POLICY, NULL_WORDS, Policy
from belfry.dataset.vocabulary import Vocabulary

N_USERS = 12


def events(users: list[object], items: object = None) -> pa.Table:
    return pa.table({"user_id": users, "item_id": list(range(len(users))) if items is None else items})


def as_file(table: pa.Table, path: Path) -> Path:
    if path.suffix == ".csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        pq.write_table(table, path)
    return path


def lines(tables: Tables, policy: Policy | None = None) -> list[str]:
    """The report, whether it is a refusal or not."""
    try:
        return check(tables, policy or Policy())[1].lines()
    except TableError as error:
        return str(error).splitlines()[1:]


def padded(word: str) -> list[str]:
    """Half of them `word`, the rest whole numbers."""
    return [word if row % 2 else str(row) for row in range(2 * N_USERS)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("word", NULL_WORDS)
def test_words_for_null_are_null_ids(tmp_path: Path, word: str, suffix: str) -> None:
    path = as_file(events(padded(word)), tmp_path / f"events{suffix}")
    found = (
        f"interactions: column 'user_id' has {N_USERS} null or empty ids, written {word!r} in {N_USERS} rows (first in "
    )
    (line,) = lines(read_tables(path))
    assert line == f"error: {found}row 1); fill them, or --set data.bad_id=drop"
    checked, report = check(read_tables(path), Policy(bad_id="drop"))
    assert report.lines() == [f"note: {found}row 1); these rows are dropped"]
    # A CSV file does not say its types: without the word, its ids are whole numbers.
    wanted = [row if suffix == ".csv" else str(row) for row in range(0, 2 * N_USERS, 2)]
    assert checked.interactions["user_id"].to_pylist() == wanted


@pytest.mark.parametrize("table", ["items", "users"])
def test_words_for_null_in_other_tables(table: str) -> None:
    column = "item_id" if table == "items" else "user_id"
    ids = [str(one) for one in range(20)]
    others = {table: pa.table({column: [*ids, "NULL", "NULL"]})}
    (line,) = lines(Tables(events(ids, ids), **others))
    assert (
        f"error: {table}: column '{column}' has 2 null or empty ids, written 'NULL' in 2 rows (first in row 20)" in line
    )


def test_a_word_may_be_an_id(tmp_path: Path) -> None:
    path = as_file(events(padded("NA")), tmp_path / "events.csv")
    checked, report = check(read_tables(path), Policy(null_words=()))
    assert checked.interactions["user_id"].to_pylist() == padded("NA")
    assert report.lines() == [
        f"note: interactions: column 'user_id' holds the id 'NA' in {N_USERS} rows (first in row 1), as "
        "data.null_words says",
        "note: interactions: column 'user_id' is a mix: 12 of 13 ids are whole numbers; row 1, 'NA', is not: so all "
        "are read as text",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("nobody", [-1, "guest"])
def test_one_id_for_everybody(tmp_path: Path, nobody: object, suffix: str) -> None:
    ids = [nobody if row % 5 == 0 else row % 36 if nobody == -1 else f"u{row % 36}" for row in range(300)]
    path = as_file(events(ids), tmp_path / f"events{suffix}")
    (note,) = lines(read_tables(path))
    assert note == (
        f"note: interactions: column 'user_id' is {nobody!r} in 60 of 300 rows, and any other of 37 users in 8 at most:"
        f" if it stands for nobody, --set 'data.null_words=[\"{nobody}\"]'"
    )
    checked, report = check(read_tables(path), Policy(bad_id="drop", null_words=(str(nobody),)))
    assert checked.interactions["user_id"].to_pylist() == [id_ for id_ in ids if id_ != nobody]
    (note,) = report.lines()
    assert f"has 60 null or empty ids, written {nobody!r} in 60 rows (first in row 0); these rows are dropped" in note


def test_empty_cells_and_words_are_counted_together() -> None:
    (line,) = lines(Tables(events(["a", "", "null", None, "b", " NULL "])))
    assert "has 4 null or empty ids, written 'null' in 1 rows, ' NULL ' in 1 rows (first in row 1)" in line


@pytest.mark.parametrize(
    "other", [" u{}", "u{} ", "\tu{}", "u{}\u00a0", "\ufeffu{}", "u{}\u200b", "u{}\r", "\u3000u{}", "u{}\x00"]
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_blanks_around_ids(tmp_path: Path, other: str, suffix: str) -> None:
    if suffix == ".csv" and other[-1] in "\r\x00":
        pytest.skip("ends a line, or is in no file of text")
    ids = [("u{}" if row < N_USERS else other).format(row % N_USERS) for row in range(2 * N_USERS)]
    path = as_file(events(ids), tmp_path / f"events{suffix}")
    checked, report = check(read_tables(path))
    assert checked.interactions["user_id"].to_pylist() == [f"u{row % N_USERS}" for row in range(2 * N_USERS)]
    (line,) = report.lines()
    assert line == (
        f"note: interactions: column 'user_id' has {N_USERS} ids with blanks around them, or with letters that are not "
        f"composed ({other.format(0)!r} for 'u0'); by that alone {N_USERS} of them differ from another id (first in "
        f"row {N_USERS}); mended, and so one with it"
    )


def test_unicode_forms_of_items() -> None:
    names = ["Zo\u00eb", "Zoe\u0308", "Ana"] * 4
    checked, report = check(Tables(events(list("abcdefghijkl"), names)))
    assert set(checked.interactions["item_id"].to_pylist()) == {"Zo\u00eb", "Ana"}
    assert r"('Zoe\u0308' for 'Zo\xeb'); by that alone 1 of them differ" in report.lines()[0]


@pytest.mark.parametrize(("policy", "done"), [("keep", "kept as they are"), ("error", "--set data.id_spelling=mend")])
def test_spellings_by_policy(policy: str, done: str) -> None:
    table = events(["a", "a ", "b"])
    (line,) = lines(Tables(table), Policy.model_validate({"id_spelling": policy}))
    assert line.startswith("error" if policy == "error" else "note") and line.endswith(done)
    if policy == "keep":
        checked, _ = check(Tables(table), Policy(id_spelling="keep"))
        assert checked.interactions["user_id"].to_pylist() == ["a", "a ", "b"]


def test_two_rows_of_one_item_by_blanks() -> None:
    items = pa.table({"item_id": ["a", "b", "b "]})
    report = lines(Tables(events([1, 2], ["a", "b"]), items))
    assert report[0].startswith("error: items: column 'item_id' repeats an earlier id 1 times (first in row 2)")


def test_floats_of_pandas_in_a_csv_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1.0, 2.0, None, 3.0], "item_id": [7, 8, 9, 7]})
    frame.to_csv(tmp_path / "events.csv", index=False)
    for source in (tmp_path / "events.csv", frame):
        checked, report = check(read_tables(source), Policy(bad_id="drop"))
        assert checked.interactions["user_id"].to_pylist() == [1, 2, 3]
        assert any("read as" in line for line in report.lines())


def test_one_number_in_two_spellings_of_a_csv_file(tmp_path: Path) -> None:
    path = as_file(events(["1.0", "1", "2.0", "3"]), tmp_path / "events.csv")
    checked, report = check(read_tables(path))
    assert checked.interactions["user_id"].to_pylist() == [1, 1, 2, 3]
    assert report.lines() == [
        "note: interactions: column 'user_id' has 2 ids that are written as '1.0' is (first in row 0); read as whole "
        "numbers, and so 1 of them are one with an id that is written otherwise"
    ]


@pytest.mark.parametrize("other", ["1.0", "+1", "01", "1_0"])
def test_numbers_in_other_spellings_stay_apart_with_a_word(other: str) -> None:
    number = "10" if other == "1_0" else "1"
    checked, report = check(Tables(events([number, other, "x"])))
    assert checked.interactions["user_id"].to_pylist() == [number, other, "x"]
    assert report.lines()[0].startswith(
        f"note: interactions: column 'user_id' has 1 numbers that are written in more than one way ({number!r} and "
        f"{other!r}); they stay different ids"
    )


def test_floats_that_are_no_ids() -> None:
    for bad in (1.5, float("inf"), 2.0**53):
        (line,) = lines(Tables(events(pa.array([1.0, bad, 3.0]))))
        assert (
            f"is double, and 1 ids are no whole numbers that such a float can tell apart (first in row 1: {bad})"
            in line
        )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_id_that_is_no_number(tmp_path: Path, suffix: str) -> None:
    """Of text beside whole numbers, the row that spoils it is named."""
    ids = [str(100 + row) for row in range(24)]
    ids[17] = "1997-08-20"
    items = as_file(pa.table({"item_id": ids}), tmp_path / "items.csv")
    interactions = as_file(events([1, 2, 3], [100, 101, 102]), tmp_path / f"events{suffix}")
    report = lines(read_tables(interactions, items))
    stray = "23 of 24 ids are whole numbers; row 17, '1997-08-20', is not"
    if suffix == ".csv":
        assert report == [f"note: items: column 'item_id' is a mix: {stray}: so all are read as text"]
    else:
        assert report[0] == (
            "error: items: column 'item_id' is string, but int64 in interactions; 1 and '1' are never merged: in items,"
            f" {stray}: mend or remove it"
        )


def test_catalogues_of_numbers_and_names_need_no_word() -> None:
    names = [str(row) if row % 3 else f"{row}A" for row in range(30)]
    assert lines(Tables(events(list(range(30)), names))) == []


@pytest.mark.parametrize("byte_order_mark", ["", "\ufeff"])
@pytest.mark.parametrize("with_times", [True, False])
def test_a_header_line_in_the_middle(tmp_path: Path, with_times: bool, byte_order_mark: str) -> None:
    header = "user_id,item_id,timestamp_s" if with_times else "user_id,item_id"
    rows = [f"{row},{row % 5},{10**9 + row}"[: None if with_times else -11] for row in range(20)]
    text = "\n".join([header, *rows[:9], byte_order_mark + header, *rows[9:]])
    (tmp_path / "events.csv").write_text(text + "\n", encoding="utf-8")
    found = "row 9 is the header line again, as in files put one behind the other; remove what repeats it"
    assert lines(read_tables(tmp_path / "events.csv")) == [f"error: interactions: {found}"]
    users = pa.table({"user_id": ["a", "user_id", "b", "user_id"]})
    (line,) = lines(Tables(events(["a", "b"]), users=users))
    assert line.startswith("error: users: 2 rows (first in rows 1, 3) are the header line again")


def test_ratings_in_a_file_of_their_own(tmp_path: Path) -> None:
    """Both files are CSV, and one of them has a word for null."""
    watches = as_file(events(["1", "2", "NULL"]), tmp_path / "watches.csv")
    ratings = as_file(events(["3", "4"]).append_column("rating", pa.array([1.0, 2.0])), tmp_path / "ratings.csv")
    for tables in (read_tables(watches, ratings=ratings), read_tables(ratings, ratings=watches)):
        checked, _ = check(tables, Policy(bad_id="drop"))
        assert sorted(checked.interactions["user_id"].to_pylist()) == [1, 2, 3, 4]


def test_text_that_is_no_text() -> None:
    offsets, bad = pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")
    ids = pa.Array.from_buffers(pa.string(), 2, [None, offsets, bad])
    assert lines(Tables(events([1, 2], ids))) == [
        "error: interactions: column 'item_id' holds text that is not UTF-8; decode it"
    ]


class TestTablesAboutKnownIds:
    def test_spelled_as_in_training(self, tmp_path: Path) -> None:
        known = {"user_id": Vocabulary(pa.array([1, 2, 3])), "item_id": Vocabulary(pa.array(["a", "b"]))}
        path = as_file(events(["1", "NULL", "2.0"], ["a", "b ", "NA"]), tmp_path / "test.csv")
        test = read_tables(path, pa.table({"item_id": ["a"]})).interactions
        test, notes = ids_like(test, known, DEFAULT_POLICY, label="test")
        assert test.to_pydict() == {"user_id": [1, None, 2], "item_id": ["a", "b", None]}
        assert "test: column 'user_id' has 1 null or empty ids, written 'NULL' in 1 rows" in notes
        assert any("('b ' for 'b')" in note for note in notes)

    def test_empty_ids_are_counted(self) -> None:
        known = {"user_id": Vocabulary(pa.array(["a", "b"]))}
        _, notes = ids_like(events(["a", None, ""]), known, DEFAULT_POLICY, label="history")
        assert notes == ["history: column 'user_id' has 2 null or empty ids"]

    def test_nobody_known_is_told_with_a_cause(self) -> None:
        known = {"user_id": Vocabulary(pa.array(["U1", "U2"]))}
        _, notes = ids_like(events(["u1", "u2"]), known, DEFAULT_POLICY, label="test")
        assert notes == [
            "test: column 'user_id' has 2 ids ('u1', 'u2'), of which 0 are among the 2 learned from ('U1', 'U2'); 2 "
            "differ by capital letters alone ('u1' here, 'U1' there)"
        ]

    def test_a_header_line_in_the_middle(self) -> None:
        known = {"user_id": Vocabulary(pa.array(["a", "b"]))}
        with pytest.raises(TableError, match="test: row 1 is the header line again"):
            ids_like(events(["a", "user_id"]), known, DEFAULT_POLICY, label="test")


SPELLINGS = [
    lambda id_: id_,
    lambda id_: f" {id_}",
    lambda id_: f"{id_}\u00a0",
    lambda id_: f"{id_}\ufeff",
    lambda id_: unicodedata.normalize("NFD", id_),
    lambda id_: unicodedata.normalize("NFC", id_),
]
ID_TEXT = st.one_of(
    st.integers(0, 999).map(str),
    st.integers(0, 9).map("{:03d}".format),
    st.text("abÄéß7.-_", min_size=1, max_size=3),
    st.sampled_from(["u1", "u2", "NULL", "nan", "1.0", "1e3", "+1", "1_0"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ID_TEXT, st.sampled_from(SPELLINGS)), min_size=4, max_size=30), st.booleans(), st.booleans())
def test_random_ids_in_random_spellings(
    tmp_path_factory: pytest.TempPathFactory, ids: list, is_csv: bool, keep: bool
) -> None:
    """Rows come back with the ids that they were written for, as whole numbers where a CSV file holds no others."""
    meant = [unicodedata.normalize("NFC", id_) for id_, _ in ids]
    written = [spell(id_) for id_, spell in ids]
    path = tmp_path_factory.mktemp("t") / ("events.csv" if is_csv else "events.parquet")
    as_file(events(written, list(range(len(ids)))), path)
    policy = Policy(bad_id="drop", null_words=() if keep else NULL_WORDS)
    try:
        checked, report = check(read_tables(path), policy)
    except TableError as error:
        assert any(why in str(error) for why in ("names one user", "no row left", "one row of one user"))
        return
    wanted = {row: id_ for row, id_ in enumerate(meant) if keep or id_ not in NULL_WORDS}
    found = dict(zip(*(checked.interactions[name].to_pylist() for name in ("item_id", "user_id")), strict=True))
    if pa.types.is_integer(checked.interactions["user_id"].type.value_type):
        assert is_csv
        wanted = {row: int(float(id_)) for row, id_ in wanted.items()}
    assert found == wanted
    n_mended = len(
        {id_ for id_, meaning in zip(written, meant, strict=True) if id_ != meaning and meaning in found.values()}
    )
    assert n_mended == 0 or any("ids with blanks around them" in line for line in report.lines())


def test_ids_that_another_program_has_cut_are_refused() -> None:
    table = pa.table({"user_id": ["1.15E+18", "1.16E+18", "7"], "item_id": [1, 2, 3]})

    _, report = examine(Tables(table))
    assert "has 2 ids in scientific notation ('1.15E+18', first in row 0)" in str(report.errors[0])
    assert str(report.errors[0]).endswith("write them with all their digits, or --set data.id_spelling=keep")
    _, report = examine(Tables(table), Policy(id_spelling="keep"))
    assert not report.errors


def test_ids_that_differ_by_case_or_hold_quotes_are_noted() -> None:
    table = pa.table({"user_id": ["u1", "U1", "u2"], "item_id": ["'7'", '="8"', "9"]})

    checked, report = examine(Tables(table))

    assert checked.interactions["user_id"].to_pylist() == ["u1", "U1", "u2"]
    said = "\n".join(report.lines())
    assert "has 1 ids that differ from another one by capital letters alone ('u1' and 'U1')" in said
    assert "has 2 ids in quotes (\"'7'\", first in row 0)" in said
