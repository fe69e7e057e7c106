"""Tables in object storage: read as files are, and words for what is not there, or not ours."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.parts import is_in_parts, open_table
from belfry.dataset.sources.tabular import read_table, read_tables
from tests.pipeline.jobs.sinks.conftest import BUCKET, s3, s3_server  # noqa: F401

EVENTS = pa.table({"user_id": ["a", "b", "c"], "item_id": [1, 2, 3]})


@pytest.fixture
def bucket(s3):  # noqa: F811
    """Of a server, with a table as one object, as two below a prefix, and as text."""
    import boto3

    bucket = boto3.resource("s3").Bucket(BUCKET)
    whole, first, rest = (pa.BufferOutputStream() for _ in range(3))
    for sink, table in ((whole, EVENTS), (first, EVENTS[:1]), (rest, EVENTS[1:])):
        pq.write_table(table, sink)
    bucket.put_object(Key="in/events.parquet", Body=whole.getvalue().to_pybytes())
    bucket.put_object(Key="parts/month=1/a.parquet", Body=first.getvalue().to_pybytes())
    bucket.put_object(Key="parts/month=2/b.parquet", Body=rest.getvalue().to_pybytes())
    bucket.put_object(Key="in/items.csv", Body=b"item_id,genre\n1,x\n2,y\n3,x\n")
    bucket.put_object(Key="in/wrong.csv", Body=b"item_id,genre\n1,x,5\n2,y\n")
    return bucket


def test_a_file_by_its_address(tmp_path):
    pq.write_table(EVENTS, tmp_path / "a b.parquet")

    assert read_table((tmp_path / "a b.parquet").as_uri()).equals(EVENTS)
    with pytest.raises(InputError, match=r"no\.parquet: no such file or folder"):
        read_table((tmp_path / "no.parquet").as_uri())


def test_objects_are_read_as_files_and_folders_are(bucket):
    tables = read_tables(f"s3://{BUCKET}/in/events.parquet", Path(f"s3://{BUCKET}/in/items.csv"))

    assert tables.interactions.to_pylist() == EVENTS.to_pylist()
    assert tables.items["genre"].to_pylist() == ["x", "y", "x"]
    parts = read_table(f"s3://{BUCKET}/parts/")
    assert parts.select(["user_id", "item_id"]).equals(EVENTS)
    assert parts["month"].to_pylist() == [1, 2, 2]
    assert not is_in_parts(f"s3://{BUCKET}/parts")
    assert open_table(f"s3://{BUCKET}/parts").n_rows == 3


def test_what_is_wrong_in_an_object_names_its_address(bucket):
    with pytest.raises(TableError, match=f"s3://{BUCKET}/in/wrong.csv: line 2 has 3 cells"):
        read_table(f"s3://{BUCKET}/in/wrong.csv")


@pytest.mark.parametrize("name", ["in/no.parquet", "no"])
def test_nothing_there_is_told(bucket, name):
    with pytest.raises(InputError, match=f"s3://{BUCKET}/{name}: .*check bucket and name"):
        read_table(f"s3://{BUCKET}/{name}")
    with pytest.raises(InputError, match=r"s3://no-such-bucket/a\.csv: .*check bucket and name"):
        read_table("s3://no-such-bucket/a.csv")


def test_no_rights_are_told(bucket, monkeypatch):
    import s3fs

    def refuses(*_args, **_options):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(s3fs.S3FileSystem, "find", refuses)
    with pytest.raises(InputError, match="PermissionError: Access Denied; mend the credentials, or the rights"):
        read_table(f"s3://{BUCKET}/in/events.parquet")


def test_an_endpoint_that_does_not_answer_is_told(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match=f"s3://{BUCKET}/in/events.parquet: .*mend the address, the endpoint or the"):
        read_table(f"s3://{BUCKET}/in/events.parquet")


def test_an_object_whose_name_leaves_the_folder_is_refused(bucket):
    bucket.put_object(Key="bad/../../../x.csv", Body=b"user_id,item_id\n1,1\n")
    with pytest.raises(TableError, match="holds an object whose name leaves it"):
        read_table(f"s3://{BUCKET}/bad")


def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InputError, match=r"s3://b/x: needs fsspec, .*pip install 'belfry-recommender\[cloud\]'"):
        read_table("s3://b/x")
