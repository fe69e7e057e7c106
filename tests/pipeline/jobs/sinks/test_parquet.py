"""Sinks: a table is seen whole or not at all, and can be read back before it is seen."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.pipeline.jobs.sinks.base import writing
from belfry.pipeline.jobs.sinks.parquet import ParquetSink

SCHEMA = pa.schema([("user_id", pa.int64()), ("score", pa.float32())], metadata={"belfry.run": "small-0"})
OLD = pa.table({"user_id": [9], "score": [0.5]}, schema=SCHEMA)


def block(*users: int) -> pa.Table:
    return pa.table({"user_id": list(users), "score": [0.0] * len(users)}, schema=SCHEMA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table that an earlier writer has committed."""
    pq.write_table(OLD, tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def test_blocks_come_back_as_they_were_written_and_are_unseen_until_the_commit(path: Path) -> None:
    blocks = [block(1, 2), block(), block(3)]
    with writing(ParquetSink(path), SCHEMA) as sink:
        for one in blocks:
            sink.write(one)
        sink.close()
        assert list(sink.blocks()) == blocks
        assert pq.read_table(path).equals(OLD)
    assert pq.read_table(path).equals(pa.concat_tables(blocks), check_metadata=True)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_writer_that_fails_leaves_the_earlier_table_and_nothing_else(
    path: Path, failure: type[BaseException], is_closed: bool
) -> None:
    with pytest.raises(failure), writing(ParquetSink(path), SCHEMA) as sink:
        sink.write(block(1))
        if is_closed:
            sink.close()
        raise failure
    assert pq.read_table(path).equals(OLD)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_rows_of_another_schema_are_refused_and_nothing_is_committed(path: Path) -> None:
    with pytest.raises(ValueError, match="schema"), writing(ParquetSink(path), SCHEMA) as sink:
        sink.write(pa.table({"user_id": ["a"]}))
    assert pq.read_table(path).equals(OLD)


def test_what_a_killed_writer_has_left_does_not_matter(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.write_text("precious")
    aside = path.parent / "aside"
    aside.symlink_to(elsewhere)
    with writing(ParquetSink(path, aside=aside), SCHEMA) as sink:
        sink.write(block(1))
    assert elsewhere.read_text() == "precious"
    assert pq.read_table(path)["user_id"].to_pylist() == [1]


def test_a_table_without_blocks_has_its_columns(path: Path) -> None:
    with writing(ParquetSink(path), SCHEMA):
        pass
    assert pq.read_table(path).schema.equals(SCHEMA)
    assert pq.read_table(path).num_rows == 0
