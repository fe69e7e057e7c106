"""Raw files, folders and objects to raw tables; what cannot be read is refused in words."""

import os
import random
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.event_weights import part_events
from belfry.dataset.sources.movielens import is_movielens, read_movielens
from belfry.dataset.sources.open import read_data
from belfry.dataset.sources.tabular import read_table, read_tables
from belfry.dataset.validation.check import check
from belfry.dataset.validation.policy import Policy

TABLE = pa.table({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "rating": [1.5, None, 3.0]})

ML_100K = {
    "u.data": "196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
    "u.item": "242|Kolya (1996)|24-Jan-1997||http://x|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    '302|Café "Noir" (1997)|01-Jan-1998||http://x|0|1|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0\n'
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n",
    "u.user": "186|39|F|executive|00000\n196|49|M|writer|T8H1N\n",
}
ML_1M = {
    "ratings.dat": "1::1193::5::978300760\n2::661::3::978302109\n",
    "movies.dat": "1193::Misérables, Les (1995)::Drama|Musical\n661::James: the Peach (1996)::Animation\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072-1234\n",
}
LATEST = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n2,5,4.0,1260759179\n",
    "movies.csv": 'movieId,title,genres\n31,"Dangerous, Minds (1995)",Drama|War\n'
    "5,Amélie 2 (2006\u20132007),Comedy\n6,Nothing,(no genres listed)\n",
}
LAYOUTS = {"100K": (ML_100K, "latin-1"), "1M": (ML_1M, "latin-1"), "latest": (LATEST, "utf-8")}


def write_folder(folder: Path, files: dict[str, str], encoding: str = "latin-1") -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(encoding))
    return folder


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_delimiters_and_types(tmp_path: Path, delimiter: str) -> None:
    text = '\ufeffuser_id,item_id,rating,title\n1,a,4.5,"one\ntwo"\n2,NA,,\n'.replace(",", delimiter)

    table = read_table(write_csv(tmp_path / "t.csv", text))

    assert table.to_pylist() == [
        {"user_id": 1, "item_id": "a", "rating": 4.5, "title": "one\ntwo"},
        {"user_id": 2, "item_id": "NA", "rating": None, "title": None},
    ]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["1", "20", "-3", "0"], [1, 20, -3, 0]),
        (["1", "", "3"], [1, None, 3]),
        (["1", "02"], ["1", "02"]),
        (["1", "1.0"], ["1", "1.0"]),
        (["1", "+1"], ["1", "+1"]),
        (["1", "-0"], ["1", "-0"]),
        (["1", "x"], ["1", "x"]),
        (["1", "9223372036854775808"], ["1", "9223372036854775808"]),
    ],
)
def test_csv_ids_are_numbers_only_if_nothing_is_lost(tmp_path: Path, ids: list[str], expected: list[object]) -> None:
    path = write_csv(tmp_path / "t.csv", "item_id,user_id\n" + "".join(f"{id_},7\n" for id_ in ids))

    assert read_table(path)["item_id"].to_pylist() == expected


def test_csv_ids_follow_the_other_table(tmp_path: Path) -> None:
    interactions = write_csv(tmp_path / "i.csv", "user_id,item_id\n1,10\n2,11\n")
    items = write_csv(tmp_path / "items.csv", "item_id,title\n10,Ten\nA1,A\n")

    tables, _ = check(read_tables(interactions, items))

    assert tables.interactions["item_id"].to_pylist() == ["10", "11"]
    assert tables.interactions["user_id"].to_pylist() == [1, 2]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "arrow", "feather"])
def test_files_by_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    if suffix.startswith("csv"):
        TABLE.to_pandas().to_csv(path, index=False)
    elif suffix == "parquet":
        pq.write_table(TABLE, path)
    else:
        new = pa.ipc.new_file if suffix == "feather" else pa.ipc.new_stream
        with new(str(path), TABLE.schema) as writer:
            writer.write_table(TABLE)

    assert read_table(path).to_pylist() == TABLE.to_pylist()
    assert read_table(str(path)).to_pylist() == TABLE.to_pylist()


def test_folder_of_parquet_in_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "day=1"
    folder.mkdir()
    pq.write_table(TABLE.slice(1), folder / "part-1.parquet")
    pq.write_table(TABLE.slice(0, 1), folder / "part-0.parquet")
    (folder / "_SUCCESS").touch()
    (folder / "_tmp.parquet").write_bytes(b"half")

    assert read_table(folder).to_pylist() == TABLE.to_pylist()


def test_folder_with_files_that_differ_in_type(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"user_id": ["1"]}), tmp_path / "b.parquet")

    with pytest.raises(TableError, match=r"column 'user_id' is int64 in a\.parquet and string in b\.parquet"):
        read_table(tmp_path)


def test_pandas_without_its_index() -> None:
    frame = pd.DataFrame(
        {"user_id": [1, 2], "item_id": ["a", None], "rating": [1.0, float("nan")], 7: pd.Categorical(["x", "y"])},
        index=["p", "q"],
    )

    assert read_table(frame).to_pylist() == [
        {"user_id": 1, "item_id": "a", "rating": 1.0, "7": "x"},
        {"user_id": 2, "item_id": None, "rating": None, "7": "y"},
    ]


def test_categories_and_text_of_polars() -> None:
    pl = pytest.importorskip("polars")
    plain = {"user_id": ["a", "b", None, "a"], "item_id": ["x", "y", "y", "z"]}
    frame = pl.DataFrame(plain).with_columns(pl.col("user_id").cast(pl.Categorical))
    tables = read_tables(frame, pl.DataFrame({"item_id": ["x", "y", "z"], "genres": [["p"], ["q", "r"], []]}))
    assert tables.interactions.to_pydict() == plain
    checked = check(tables, Policy(bad_id="drop"))[0]
    assert checked.interactions["user_id"].to_pylist() == ["a", "b", "a"]
    assert checked.items is not None and checked.items["genres"].to_pylist() == [["p"], ["q", "r"], []]


def test_pandas_values_without_an_arrow_type() -> None:
    frame = pd.DataFrame({"user_id": [1], "odd": [object()]})

    with pytest.raises(TableError, match=r"column 'odd' holds values that Arrow has no type for \(of object\)"):
        read_table(frame)


def test_other_objects_are_refused() -> None:
    with pytest.raises(
        InputError, match="a table is a path or a table of pandas, Polars, DuckDB or Arrow, not list; make"
    ):
        read_table([1, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"", "is empty; a table needs a header and rows"),
        ("t.csv", b"\nuser_id\n", "begins with an empty line"),
        (
            "t.csv",
            b"user_id,item_id\n1,2,3\n",
            "line 2 has 3 cells parted by ',', and the header names 2 columns: '1,2,3'; enclose a cell",
        ),
        (
            "t.csv",
            b"user_id,item_id\n\xff,2\n",
            r"is not UTF-8: line 2 holds the byte 0xff \(byte 17 of the text\); pass --encoding latin-1",
        ),
        (
            "t.jsonl",
            b'{"user_id": "a", "item_id": "i"}\n{"user_id": "a", "item_id": "\xff"}\n',
            r"is not UTF-8: line 2 holds the byte 0xff \(byte 63 of the text\); pass --encoding latin-1",
        ),
        ("t.parquet", b"PAR1 this is no Parquet PAR1", "cannot be read: .*; check the file or write it again"),
        ("t.parquet", b"<html>", "is a page of HTML or XML, and no table"),
        ("t.parquet", b"a,b", "cannot be read: it holds text and no parquet; call it .csv, or fetch it again"),
        ("t.arrow", b"ARROW1\0\0 no", "cannot be read: .*; check the file or write it again"),
        ("t.xlsx", b"PK", "is a spreadsheet: save it as CSV or Parquet; Belfry reads CSV, JSON lines"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(InputError, match=message) as caught:
        read_table(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: no such file or folder; check the path"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="no Parquet file in this folder"):
        read_table(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "arrow"])
def test_damaged_bytes_give_an_error_in_words_or_a_valid_load(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        TABLE.to_pandas().to_csv(path, index=False)
    elif suffix == "jsonl":
        TABLE.to_pandas().to_json(path, orient="records", lines=True)
    elif suffix == "parquet":
        pq.write_table(TABLE, path)
    else:
        with pa.ipc.new_file(str(path), TABLE.schema) as writer:
            writer.write_table(TABLE)
    good = path.read_bytes()
    numbers = random.Random(0)
    for _ in range(200):
        data = bytearray(good)
        for _ in range(numbers.choice([1, 2, 10])):
            data[numbers.randrange(len(data))] = numbers.randrange(256)
        path.write_bytes(data)
        try:
            tables, _ = check(read_tables(path))
        except InputError as error:
            assert str(error)
        else:
            tables.interactions.validate(full=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("place", ["folder", "zip", "flat zip"])
def test_movielens_layouts(tmp_path: Path, layout: str, place: str) -> None:
    files, encoding = LAYOUTS[layout]
    path = write_folder(tmp_path / "ml", files, encoding)
    if place != "folder":
        path = tmp_path / "ml.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in files:
                archive.write(tmp_path / "ml" / name, f"ml/{name}" if place == "zip" else name)

    assert is_movielens(path)
    tables, report = check(read_movielens(path))

    assert all(finding.kind in ("no_features", "left_out") for finding in report.findings)
    assert tables.text_columns == ("title",)
    assert tables.items is not None
    assert tables.items.schema.field("genres").type == pa.list_(pa.string())
    assert {"100K": check_100k, "1M": check_1m, "latest": check_latest}[layout](
        tables.interactions.to_pylist(), tables.items.to_pylist(), tables.users and tables.users.to_pylist()
    )


def check_100k(interactions: list[object], items: list[object], users: list[object]) -> bool:
    assert interactions[0] == {"user_id": 196, "item_id": 242, "rating": 3.0, "timestamp_s": 881250949}
    assert items == [
        {"item_id": 242, "title": "Kolya (1996)", "genres": ["Comedy"], "release_year": 1997},
        {"item_id": 302, "title": 'Café "Noir" (1997)', "genres": ["Action", "Crime"], "release_year": 1998},
        {"item_id": 267, "title": "unknown", "genres": [], "release_year": None},
    ]
    assert users == [
        {"user_id": 186, "age": 39, "gender": "F", "occupation": "executive", "zip_region": "0"},
        {"user_id": 196, "age": 49, "gender": "M", "occupation": "writer", "zip_region": None},
    ]
    return True


def check_1m(interactions: list[object], items: list[object], users: list[object]) -> bool:
    assert interactions[1] == {"user_id": 2, "item_id": 661, "rating": 3.0, "timestamp_s": 978302109}
    assert items == [
        {"item_id": 1193, "title": "Misérables, Les (1995)", "genres": ["Drama", "Musical"], "release_year": 1995},
        {"item_id": 661, "title": "James: the Peach (1996)", "genres": ["Animation"], "release_year": 1996},
    ]
    first = {"user_id": 1, "gender": "F", "age_group": "Under 18", "occupation": "K-12 student", "zip_region": "4"}
    second = {"user_id": 2, "gender": "M", "age_group": "56+", "occupation": "self-employed", "zip_region": "7"}
    assert users == [first, second]
    return True


def check_latest(interactions: list[object], items: list[object], users: None) -> bool:
    assert interactions[0] == {"user_id": 1, "item_id": 31, "rating": 2.5, "timestamp_s": 1260759144}
    assert items == [
        {"item_id": 31, "title": "Dangerous, Minds (1995)", "genres": ["Drama", "War"], "release_year": 1995},
        {"item_id": 5, "title": "Amélie 2 (2006\u20132007)", "genres": ["Comedy"], "release_year": 2006},
        {"item_id": 6, "title": "Nothing", "genres": [], "release_year": None},
    ]
    return users is None


def test_movielens_1m_without_ratings(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "ml-1m", {"movies.dat": ML_1M["movies.dat"]})
    pq.write_table(
        pa.table({"user_id": pa.array([1, 2], pa.int32()), "item_id": [1193, 661]}), folder / "watches.parquet"
    )

    tables = read_movielens(folder)

    assert tables.interactions.to_pydict() == {"user_id": [1, 2], "item_id": [1193, 661]}
    assert tables.interactions.schema.field("user_id").type == pa.int64()
    assert tables.users is None


def test_movielens_damaged_or_absent(tmp_path: Path) -> None:
    broken = write_folder(tmp_path / "broken", ML_100K | {"u.data": "196\t242\n"})
    with pytest.raises(
        TableError, match=r"broken: damaged MovieLens 100K data: .*Expected 4 columns, got 2.*; fetch it"
    ):
        read_movielens(broken)
    other = write_folder(tmp_path / "other", {"x.csv": "1"})
    with pytest.raises(InputError, match=r"no MovieLens layout; wanted u\.data and u\.item, .*; found x\.csv"):
        read_movielens(other)
    with pytest.raises(InputError, match="no such file or folder"):
        read_movielens(tmp_path / "gone.zip")


def test_movielens_zip_with_damaged_member(tmp_path: Path) -> None:
    path = tmp_path / "ml.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in ML_100K.items():
            archive.writestr(name, text)
    path.write_bytes(path.read_bytes().replace(b"881250949", b"881250948"))

    with pytest.raises(TableError, match=r"damaged MovieLens 100K data: Bad CRC-32 for file 'u\.data'; fetch it again"):
        read_movielens(path)


def test_read_data_knows_names_layouts_and_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "ml-latest-small", LATEST, "utf-8")
    assert len(read_data("ml-latest-small", tmp_path).interactions) == 2
    assert len(read_data(str(tmp_path / "ml-latest-small")).interactions) == 2

    own = write_folder(
        tmp_path / "own", {"interactions.csv": "user_id,item_id\n1,2\n", "users.csv": "user_id,age\n1,30\n"}
    )
    tables = read_data(str(own))
    assert tables.interactions.to_pylist() == [{"user_id": 1, "item_id": 2}]
    assert tables.users is not None and tables.items is None
    assert len(read_data(str(own / "interactions.csv")).interactions) == 1

    pq.write_table(TABLE, own / "interactions.parquet")
    with pytest.raises(InputError, match=r"has interactions\.csv and interactions\.parquet; keep one"):
        read_data(str(own))
    with pytest.raises(InputError, match="gone: no such file or folder, and none of the names demo, ml-100k, ml-1m"):
        read_data("gone")


def test_demo_by_name() -> None:
    tables, _ = check(read_data("demo"))

    assert tables.items is not None and len(tables.interactions) > 10_000


@pytest.mark.realdata
def test_real_movielens_100k() -> None:
    tables, report = check(read_data("ml-100k", Path(os.environ["BELFRY_DATA"])))

    assert not report.findings
    assert tables.items is not None and tables.users is not None
    assert (len(tables.interactions), len(tables.items), len(tables.users)) == (100_000, 1682, 943)
    assert len(tables.items["title"].unique()) == 1664
    assert tables.items["release_year"].null_count == 1
    assert tables.items.filter(pa.compute.equal(tables.items["item_id"], 1))["genres"].to_pylist() == [
        ["Animation", "Children's", "Comedy"]
    ]


@pytest.mark.realdata
def test_real_movielens_1m_watches() -> None:
    tables, report = check(read_data("ml-1m", Path(os.environ["BELFRY_DATA"])))

    assert not report.findings
    assert tables.items is not None and tables.users is not None
    assert (len(tables.interactions), len(tables.items), len(tables.users)) == (1_000_209, 3883, 6040)
    assert tables.interactions.column_names == ["user_id", "item_id"]
    assert tables.items["release_year"].null_count == 0


def test_ratings_of_their_own_table_join_the_watches() -> None:
    """A watch and its rating at one time are one event, a rating of what was not watched is another."""
    watches = pa.table({"user_id": [1, 1, 2], "item_id": [5, 6, 5], "timestamp_s": [10, 20, 30]})
    ratings = pa.table({"user_id": [1, 2], "item_id": [6, 7], "timestamp_s": [20, 40], "rating": [4.0, 2.0]})
    tables, _ = check(read_tables(watches, ratings=ratings))
    joined, _, _ = part_events(tables.interactions)
    rows = joined.select(["user_id", "item_id", "rating"]).to_pylist()
    assert len(rows) == 4
    assert {(row["user_id"], row["item_id"], row["rating"]) for row in rows} == {
        (1, 5, None),
        (1, 6, 4.0),
        (2, 5, None),
        (2, 7, 2.0),
    }


def test_ratings_have_times_where_the_watches_have_them() -> None:
    timed = pa.table({"user_id": [1, 2], "item_id": [5, 6], "timestamp_s": [10, 20]})
    without = pa.table({"user_id": [1, 2], "item_id": [5, 6], "rating": [4.0, 3.0]})
    for watches, ratings, which in ((timed, without, "ratings"), (without, timed, "interactions")):
        with pytest.raises(
            TableError, match=rf"^{which}: there is no column 'timestamp_s'.* both the times, or neither"
        ):
            read_tables(watches, ratings=ratings)


def test_ratings_of_other_ids_are_refused() -> None:
    watches = pa.table({"user_id": [1, 2], "item_id": [5, 6]})
    ratings = pa.table({"user_id": ["a"], "item_id": [5], "rating": [4.0]})
    with pytest.raises(TableError, match=r"ratings: cannot stand below the interactions: .* give both the same types"):
        read_tables(watches, ratings=ratings)
