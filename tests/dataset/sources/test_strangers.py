"""What people bring in place of a table, or around one: refused by its true cause, or read with a note."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import read_raw, read_table, read_tables
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.pipeline.config import load_config

ROWS = "user_id,item_id\n1,7\n2,8\n"


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("a.csv", b"<!DOCTYPE html>\n<p>Not, found</p>\n", "is a page of HTML or XML, and no table"),
        ("a.csv", b'<?xml version="1.0"?><Error/>', "is a page of HTML or XML, and no table"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "is a pointer of Git LFS"),
        ("a.csv", b"/annex/objects/SHA256E-s1--a.csv\n", "is a pointer of git-annex"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "is a picture"),
        ("a.csv", b"\0" * 4096, "holds nothing but bytes 0"),
        ("a.parquet", ROWS.encode(), "it holds text and no parquet; call it .csv"),
        ("a.csv", b'[{"user_id": 1, "item_id": 7}]', "is a JSON array"),
        ("a.json", b'{"user_id": {"0": 1}, "item_id": {"0": 7}}', "is one object, and a table has one for each row"),
        ("a.csv", f"Report of June\n\n{ROWS}".encode(), "line 3 names the columns; remove what stands above it"),
        ("a.txt", b" user_id | item_id \n---------+---------\n 1 | 7\n", "line 2 is a line drawn below the names"),
        ("a.csv", b"user_id,item_id\n'1','7'\n'2','8'\n", "enclosed in single quotes, such as \"'1'\"; use double"),
        ("a.csv", b"user_id,item_id\n1,7,\n2,8,\n", "it ends with ',' and the header does not; end both alike"),
    ],
)
def test_what_is_no_table_is_called_by_its_name(name: str, content: bytes, cause: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError) as refused:
        read_table(tmp_path / name)
    assert cause in str(refused.value)


def test_a_folder_with_versions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "a.csv").write_text(ROWS)

    with pytest.raises(InputError, match=r"is a table with versions \(_delta_log\)"):
        read_table(tmp_path)


def test_empty_parts_of_a_folder_are_left_out_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "part-0.csv").write_text(ROWS)
    (tmp_path / "part-1.csv").write_text("")

    raw = read_raw(tmp_path)

    assert len(raw.table) == 2
    assert raw.notes == ("left out 1 empty files, such as part-1.csv",)


@pytest.mark.parametrize("kind", ["memory", "file"])
@pytest.mark.parametrize("ids", [[7, 8, 9], [7, 9, 8]], ids=["range", "values"])
def test_an_index_with_a_name_is_a_column(kind: str, ids: list[int], tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": ids, "genre": ["a", "b", "c"]}).set_index("item_id")
    frame.to_parquet(tmp_path / "a.parquet")

    table = read_table(frame if kind == "memory" else tmp_path / "a.parquet")

    assert table["item_id"].to_pylist() == ids
    assert table["genre"].to_pylist() == ["a", "b", "c"]


def test_frames_that_arrow_can_read() -> None:
    batch = pa.RecordBatch.from_pydict({"user_id": [1], "item_id": [7]})

    assert read_table(batch).to_pydict() == {"user_id": [1], "item_id": [7]}
    with pytest.raises(InputError, match=r"not Series; make one, such as pandas\.DataFrame"):
        read_table(pd.Series([1]))
    with pytest.raises(InputError, match=r"not LazyFrame; collect\(\) it first"):
        read_table(type("LazyFrame", (), {"collect": None})())


def test_older_names_of_settings() -> None:
    config = load_config(
        "default", holdout="random", settings=["retrieval.looks=2", 'relations=[["like", 1.0], ["hate", -1.0]]']
    )

    assert config.retrieval.evaluations == 2
    assert config.event_weights == (("like", 1.0), ("hate", -1.0))


def test_names_of_columns_are_text() -> None:
    with pytest.raises(InputError, match=r"^columns \{'user_id': 0\}: names of columns are text"):
        Reading.of({"user_id": 0}, None, None)  # type: ignore[dict-item]


NESTED = [{"user": {"id": 7, "name": "a"}, "item": {"key": {"id": "x"}}}, {"user": {"id": 8}, "item": None}]


def test_parts_of_objects_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, NESTED)))
    named = Reading({"user_id": "user.id", "item_id": "item.key.id"})
    for source in (path, pa.Table.from_pylist(NESTED)):
        table = read_table(source, named)
        assert table["user_id"].to_pylist() == [7, 8]
        assert table["item_id"].to_pylist() == ["x", None]
    for absent in ("user.key", "user.id.id", "user."):
        with pytest.raises(InputError, match="no table has"):
            read_tables(path, reading=Reading({"user_id": absent, "item_id": "item.key.id"}))


def test_a_part_of_an_object_is_suggested() -> None:
    table = pa.Table.from_pylist([{"user": {"id": 7, "name": "a"}, "item": {"id": 3}, "ts": 1}])
    with pytest.raises(TableError, match=r"pass --columns user_id=user\.id,item_id=item\.id,timestamp_s=ts"):
        check(Tables(table))
    with pytest.raises(TableError, match=r"name the part that is the id, as in --columns user_id=user\.id"):
        check(Tables(table.rename_columns(["user_id", "item_id", "timestamp_s"])))
