"""Folders of files that are one table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.sources.parts import open_table
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import read_raw


def parquet(path: Path, **columns: list[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def test_folder_names_carry_a_column(tmp_path: Path) -> None:
    parquet(tmp_path / "date=2020-01-01" / "shop=1" / "a.parquet", user_id=[1], item_id=[10])
    parquet(tmp_path / "date=2020-01-02" / "shop=__HIVE_DEFAULT_PARTITION__" / "a.parquet", user_id=[2], item_id=[20])
    expected = [
        {"user_id": 1, "item_id": 10, "date": "2020-01-01", "shop": 1},
        {"user_id": 2, "item_id": 20, "date": "2020-01-02", "shop": None},
    ]
    found = read_raw(tmp_path)
    assert found.table.to_pylist() == expected
    assert found.notes[0] == "column 'date' is read from the names of folders, such as date=2020-01-01"
    parts = open_table(tmp_path)
    assert pa.concat_tables(parts.read(parts.schema.names)).to_pylist() == expected
    renamed = open_table(tmp_path, Reading({"day": "date"}))
    assert pa.concat_tables(renamed.read(["day"])).to_pylist() == [{"day": "2020-01-01"}, {"day": "2020-01-02"}]
    assert read_raw(tmp_path, Reading({"day": "date"})).table.column_names[2] == "day"


def test_a_column_of_the_files_goes_before_that_of_their_folders(tmp_path: Path) -> None:
    parquet(tmp_path / "user_id=1" / "a.parquet", user_id=[7], item_id=[10])
    found = read_raw(tmp_path)
    assert found.table.to_pylist() == [{"user_id": 7, "item_id": 10}]
    assert found.notes == ("column 'user_id' is in the files; what the folders' names say of it is left out",)


def test_files_of_csv_are_one_table(tmp_path: Path) -> None:
    text(tmp_path / "part-0.csv", "user_id,item_id,zip\n1,10,01\n")
    text(tmp_path / "part-1.csv", "item_id,user_id,zip\n20,2,x\n")
    text(tmp_path / "_SUCCESS", "")
    text(tmp_path / ".hidden.csv", "x")
    text(tmp_path / "README.txt", "read me")
    found = read_raw(tmp_path)
    assert found.table.to_pylist() == [
        {"user_id": 1, "item_id": 10, "zip": "01"},
        {"user_id": 2, "item_id": 20, "zip": "x"},
    ]
    text(tmp_path / "part-2.csv", "user_id,item_id,zip\na,30,y\n")
    assert read_raw(tmp_path).table["user_id"].to_pylist() == ["1", "2", "a"]


def test_a_part_without_a_header_is_refused_by_its_name(tmp_path: Path) -> None:
    text(tmp_path / "part-0.csv", "user_id,item_id\n1,10\n")
    text(tmp_path / "part-1.csv", "2,20\n3,30\n")
    with pytest.raises(TableError, match=r"part-1\.csv: line 1 holds values \('2', '20'\)"):
        read_raw(tmp_path)


def test_a_column_that_some_files_lack(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", user_id=[1], item_id=[10], rating=[5])
    parquet(tmp_path / "b.parquet", user_id=[2], item_id=[20])
    found = read_raw(tmp_path)
    assert found.table["rating"].to_pylist() == [5, None]
    assert found.notes == ("column 'rating' is missing in 1 of 2 files (first: b.parquet); null there",)
    parquet(tmp_path / "c.parquet", user_id=[3], rating=[1])
    with pytest.raises(TableError, match=r"column 'item_id' is missing in 1 of 3 files \(first: c\.parquet\); add it"):
        read_raw(tmp_path)


@pytest.mark.parametrize(("one", "other"), [([1], ["1"]), ([1], [1.5])])
def test_ids_of_two_types_are_refused_by_their_files(tmp_path: Path, one: list[object], other: list[object]) -> None:
    parquet(tmp_path / "a.parquet", user_id=one, item_id=[10])
    parquet(tmp_path / "b.parquet", user_id=other, item_id=[20])
    for read in (read_raw, open_table):
        with pytest.raises(
            TableError, match=r"column 'user_id' is int64 in a\.parquet and (string|double) in b\.parquet"
        ):
            read(tmp_path)


def test_text_beside_parquet_is_left_out_with_a_note(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", user_id=[1], item_id=[10])
    text(tmp_path / "items.csv", "item_id\n10\n")
    found = read_raw(tmp_path)
    assert len(found.table) == 1
    assert found.notes == ("left out 1 files that are no Parquet, such as items.csv",)
