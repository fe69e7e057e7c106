"""Kinds of files by their first bytes and suffixes, archives, JSON lines, and what pandas leaves in files."""

import bz2
import gzip
import json
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.open import read_data
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import read_events, read_raw, read_tables
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import Vocabulary

CSV = b"user_id,item_id\n1,10\n2,20\n"
ROWS = [{"user_id": 1, "item_id": 10}, {"user_id": 2, "item_id": 20}]
TABLE = pa.Table.from_pylist(ROWS)


def read(path: Path) -> list[dict[str, object]]:
    return read_raw(path).table.to_pylist()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_raw(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("name", ["t.csv.gz", "T.CSV.GZ", "t.csv", "t", "t.txt.bz2", "t.csv.zst", "t.tsv.LZ4"])
@pytest.mark.parametrize("codec", ["gzip", "bz2", "zstd", "lz4"])
def test_packed_text_by_its_first_bytes(tmp_path: Path, name: str, codec: str) -> None:
    if codec == "bz2":
        packed = bz2.compress(CSV)
    elif codec == "gzip":
        packed = gzip.compress(CSV[:20], mtime=0) + gzip.compress(CSV[20:])  # as `cat a.gz b.gz` makes it
    else:
        packed = pa.Codec(codec).compress(CSV).to_pybytes()
    (tmp_path / name).write_bytes(packed)
    assert read(tmp_path / name) == ROWS


def test_parquet_and_arrow_without_or_under_another_suffix(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "part-00000")
    assert read(tmp_path / "part-00000") == ROWS
    pq.write_table(TABLE, tmp_path / "t.csv")
    found = read_raw(tmp_path / "t.csv")
    assert found.table.to_pylist() == ROWS
    assert found.notes == ("read as parquet, which it is by its first bytes, whatever its suffix says",)
    pyarrow.feather.write_feather(TABLE, tmp_path / "t.DATA")
    assert read(tmp_path / "t.DATA") == ROWS
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress((tmp_path / "part-00000").read_bytes()))
    assert read(tmp_path / "t.parquet.gz") == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv.gz", CSV, "is not packed, though its name says so"),
        ("t.csv.gz", gzip.compress(CSV, mtime=0)[:-12], "is damaged: it cannot be unpacked"),
        ("t.csv.xz", b"\xfd7zXZ\0rest", r"is packed by xz: unpack it \(unxz\)"),
        ("t.xlsx", b"PK\x03\x04rest", "is a spreadsheet: save it as CSV or Parquet"),
        ("t", b"\xd0\xcf\x11\xe0rest", "is an Excel file"),
        ("t", b"SQLite format 3\0rest", "is an SQLite database"),
        ("t.pkl", b"\x80\x04rest", "is a pickle, which Belfry never opens"),
        ("t.json", b'[{"user_id": 1}]', "is a JSON array, or begins like one; write one object a line"),
        ("t.json", b"{'user_id': 1}\n", "is an object of Python and not JSON"),
        ("t.json", b'{\n  "user_id": 1\n}\n', "its first line is no whole object"),
        ("t.json", b"5\n", "its first line is no object with names"),
        (
            "t.json",
            b'{"user_id": 1}\n{"user_id": "a"}\n',
            "cannot be read as JSON lines: .*changed from number to string",
        ),
        ("t.zip", b"PK\x03\x04rest", "cannot be read as a zip archive"),
    ],
)
def test_what_is_refused_says_the_way_out(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    import re

    assert re.search(message, refusal(tmp_path / name))


def test_json_lines(tmp_path: Path) -> None:
    lines = [{"user_id": "2014-01-01", "item_id": 7, "tags": ["a"]}, {"user_id": "b", "item_id": 8, "extra": 1}]
    content = "\n".join(map(json.dumps, lines)).encode()
    expected = [
        {"user_id": "2014-01-01", "item_id": 7, "tags": ["a"], "extra": None},
        {"user_id": "b", "item_id": 8, "tags": None, "extra": 1},
    ]
    for name in ("t.jsonl", "t.ndjson", "t.json", "T.JSON.GZ", "t.txt"):
        (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith("GZ") else content)
        assert read(tmp_path / name) == expected


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_that_holds_one_table(tmp_path: Path) -> None:
    path = zipped(tmp_path / "t.zip", {"data/log.csv": CSV, "data/README.txt": b"read me", "__MACOSX/._log.csv": b"x"})
    found = read_raw(path)
    assert found.table.to_pylist() == ROWS
    assert found.notes[0].startswith("read ") and "log.csv of the zip" in found.notes[0]
    assert read_data(str(path)).interactions.to_pylist() == ROWS


def test_a_zip_that_holds_several_tables(tmp_path: Path) -> None:
    members = {"interactions.csv": CSV, "items.csv": b"item_id,kind\n10,a\n20,b\n", "users.csv": b"user_id,age\n1,20\n"}
    path = zipped(tmp_path / "t.zip", members)
    tables = read_data(str(path))
    assert tables.items is not None and tables.users is not None
    assert tables.items["kind"].to_pylist() == ["a", "b"]
    assert read_tables(path, items=path).items == tables.items
    other = zipped(tmp_path / "other.zip", {"a.csv": CSV, "b.csv": CSV})
    message = r"other\.zip: holds 'a\.csv', 'b\.csv'; call one of them interactions\.csv, or unzip it"
    with pytest.raises(InputError, match=message):
        read_raw(other)
    with pytest.raises(InputError, match=r"holds 'a\.png'; no table is among them, or unzip it"):
        read_raw(zipped(tmp_path / "none.zip", {"a.png": b"x"}))
    with pytest.raises(InputError, match="is an Excel workbook"):
        read_raw(zipped(tmp_path / "book", {"[Content_Types].xml": b"x", "xl/workbook.xml": b"x"}))


def test_the_index_of_pandas_is_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, 2, 3, 4], "item_id": [10, 20, 30, 40]})[lambda table: table["user_id"] != 3]
    frame.to_csv(tmp_path / "a.csv")
    pd.read_csv(tmp_path / "a.csv").to_csv(tmp_path / "b.csv", index=False)
    frame.to_parquet(tmp_path / "c.parquet")
    expected = [{"user_id": 1, "item_id": 10}, {"user_id": 2, "item_id": 20}, {"user_id": 4, "item_id": 40}]
    for name, column in (("a.csv", ""), ("b.csv", "Unnamed: 0"), ("c.parquet", "__index_level_0__")):
        found = read_raw(tmp_path / name)
        assert found.table.to_pylist() == expected
        assert found.notes == (f"left out the index of pandas, which is no feature: column {column!r}",)
    frame.set_index("user_id").to_csv(tmp_path / "d.csv")
    assert read(tmp_path / "d.csv") == expected


def test_columns_without_a_name_that_are_no_index_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",item_id\nx,1\ny,2\n")
    assert read(tmp_path / "a.csv") == [{"": "x", "item_id": 1}, {"": "y", "item_id": 2}]
    (tmp_path / "b.csv").write_text("user_id,item_id,\n1,2,\n3,4,\n")
    found = read_raw(tmp_path / "b.csv")
    assert found.table.column_names == ["user_id", "item_id"]
    assert found.notes == ("left out 1 columns without a name and without a value",)


def test_columns_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("userId,movieId,stars\n007,1,4\n8,2,5\n")
    (tmp_path / "items.csv").write_text("movieId,name\n1,One\n2,Two\n")
    reading = Reading.of(["user_id=userId,item_id=movieId", "rating=stars,title=name"], None, None)
    tables, _ = check(read_tables(tmp_path / "events.csv", tmp_path / "items.csv", reading=reading))
    assert tables.interactions.to_pylist() == [
        {"user_id": "007", "item_id": 1, "rating": 4.0},
        {"user_id": "8", "item_id": 2, "rating": 5.0},
    ]
    assert tables.items is not None and tables.items["title"].to_pylist() == ["One", "Two"]
    frame = pd.DataFrame({"userId": [1, 2], "item_id": [3, 4]})
    assert read_tables(frame, reading=Reading({"user_id": "userId"})).interactions.column_names == [
        "user_id",
        "item_id",
    ]
    swap = Reading({"user_id": "item_id", "item_id": "user_id"})
    assert read_tables(TABLE, reading=swap).interactions.column_names == ["item_id", "user_id"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("user_id=who", "columns user_id=who: no table has 'who'; interactions has 'user_id', 'item_id'"),
        ("user_id=item_id", "columns user_id=item_id: a column 'user_id' is there already"),
        ("user_id", "wanted NAME=NAME IN THE TABLE"),
        ("user_id=a,user_id=b", "'user_id' is named twice"),
        ("user_id=a,item_id=a", "'a' is to be 'user_id' and 'item_id'; name it once"),
    ],
)
def test_columns_that_cannot_be_renamed(columns: str, message: str) -> None:
    if columns == "user_id=who":
        with pytest.raises(InputError, match="no table has 'who'"):
            read_tables(TABLE.rename_columns(["x", "item_id"]), reading=Reading.of(columns, None, None))
        return
    with pytest.raises(InputError, match=message):
        read_tables(TABLE, reading=Reading.of(columns, None, None))


@pytest.mark.parametrize(
    ("delimiter", "encoding", "message"),
    [
        ("", None, "wanted one to four ASCII signs"),
        ('"', None, "wanted one to four ASCII signs"),
        (None, "klingon", "encoding 'klingon': is not known"),
        (None, "base64", "encoding 'base64': is not known"),
    ],
)
def test_options_that_cannot_be_meant(delimiter: str | None, encoding: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Reading.of(None, delimiter, encoding)


def test_notes_of_reading_are_in_the_report_and_those_of_a_test_table_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "t.csv").write_bytes(b"sep=,\n" + CSV)
    _, report = check(read_tables(tmp_path / "t.csv"))
    assert "note: interactions: left out the first line, 'sep=,'" in report.lines()
    users, items = Vocabulary(pa.array(["1", "2"])), Vocabulary(pa.array([10, 20]))
    table = read_events(tmp_path / "t.csv", users, items, reading=Reading({"rating": "stars"}))
    assert table.to_pylist() == [{"user_id": "1", "item_id": 10}, {"user_id": "2", "item_id": 20}]
    assert "note: test: left out the first line, 'sep=,'" in caplog.text
    assert "note: test: has no column 'stars', which is to be 'rating'" in caplog.text


@pytest.mark.parametrize(
    ("names", "option"),
    [
        ("User-ID ISBN Book-Rating", "user_id=User-ID,item_id=ISBN,rating=Book-Rating"),
        ("reviewerID asin overall unixReviewTime",
         "user_id=reviewerID,item_id=asin,rating=overall,timestamp_s=unixReviewTime"),
        ("userId movieId rating timestamp", "user_id=userId,item_id=movieId,timestamp_s=timestamp"),
        ("visitorid itemid event timestamp", "user_id=visitorid,item_id=itemid,timestamp_s=timestamp"),
        ("userID artistID playcount", "user_id=userID,item_id=artistID,weight=playcount"),
        ("customer_id article_id t_dat", "user_id=customer_id,item_id=article_id,timestamp_s=t_dat"),
        ("user item", "user_id=user,item_id=item"),
        ("uid iid ts", "user_id=uid,item_id=iid,timestamp_s=ts"),
        ("User_ID Item_ID", "user_id=User_ID,item_id=Item_ID"),
    ],
)  # fmt: skip
def test_usual_names_give_the_whole_option(names: str, option: str) -> None:
    table = pa.table({name: [1, 2] for name in names.split()})
    with pytest.raises(TableError) as caught:
        check(read_tables(table))
    assert f"or pass --columns {option}" in str(caught.value)
    reading = Reading.of([option], None, None)
    assert {"user_id", "item_id"} <= set(read_tables(table, reading=reading).interactions.column_names)
