"""Places that are missing, foreign, forbidden or gone: words before work starts, or a stop with a way to go on."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.jobs import batch, batch_parts
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.sinks.base import LeftOut, SinkError, resliced
from belfry.pipeline.jobs.sinks.parquet import ParquetSink
from tests.pipeline.jobs.sinks.conftest import BUCKET, Place, PostgresServer
from tests.pipeline.small_recommender import SmallRecommender

LOCKED_DUCKDB = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


class Untouched(SmallRecommender):
    """Says when it is made to score anybody."""

    def recommend_many(self, users: pa.Array, *arguments: object, **options: object) -> pa.Table:
        assert not len(users), "scored before the place was checked"
        return super().recommend_many(users, *arguments, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", 6)


@pytest.mark.parametrize(
    ("destination", "match"),
    [
        ("delta:", r"^delta:: names no folder of this machine; write delta:PATH$"),
        ("delta:s3://bucket/table", "names no folder of this machine"),
        ("duckdb:", r"cannot be read; write duckdb:FILE\?table=name"),
        ("duckdb:lists.duckdb?tabel=a", r"cannot be read; write duckdb:FILE\?table=name"),
        ("duckdb:lists.duckdb?table=1a", "'1a' is no plain name"),
        ('duckdb:lists.duckdb?table=a"; DROP TABLE b; --', "is no plain name"),
        ("duckdb:lists.duckdb?table=Lists", "'Lists' is no plain name; take small letters"),
        (f"duckdb:lists.duckdb?table={'a' * 41}", "at most 40"),
        ("postgresql://u:secret@127.0.0.1:1/x?table=a.b.c", "'a.b' is no plain name"),
        (
            "postgresql://u:secret@127.0.0.1:1/x?table=a.b",
            r"^postgresql://127\.0\.0\.1:1/x, table b: .*Connection refused",
        ),
        ("s3://", "names no bucket; write s3://BUCKET/PREFIX"),
        ("nowhere://bucket/prefix", "Protocol not known: nowhere"),
    ],
)
def test_addresses_that_are_refused(destination: str, match: str) -> None:
    for library in ("deltalake", "duckdb", "adbc_driver_postgresql", "fsspec"):
        pytest.importorskip(library)
    with pytest.raises(InputError, match=match):
        write_batch(Untouched(), destination, n=3)


@pytest.mark.parametrize(
    ("destination", "library", "extra"),
    [
        ("delta:lists", "deltalake", "delta"),
        ("duckdb:lists.duckdb", "duckdb", "duckdb"),
        ("postgresql://127.0.0.1/x", "adbc_driver_postgresql", "postgres"),
        ("s3://bucket/prefix", "fsspec", "cloud"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(
    destination: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)  # type: ignore[arg-type]
    install = rf"needs {library}, which is not installed; run: pip install 'belfry-recommender\[{extra}\]'"
    with pytest.raises(InputError, match=install):
        write_batch(Untouched(), destination, n=3)


class TestForeign:
    """What others have made is not written over."""

    def test_delta(self, tmp_path: Path) -> None:
        deltalake = pytest.importorskip("deltalake")
        deltalake.write_deltalake(tmp_path / "delta", pa.table({"precious": [1]}))
        with pytest.raises(InputError, match="holds a table that Belfry did not make"):
            write_batch(Untouched(), f"delta:{tmp_path / 'delta'}", n=3)
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "precious.csv").touch()
        with pytest.raises(InputError, match=r"holds other files \(precious\.csv\)"):
            write_batch(Untouched(), f"delta:{tmp_path / 'files'}", n=3)

    @pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
    def test_duckdb(self, tmp_path: Path, kind: str) -> None:
        duckdb = pytest.importorskip("duckdb")
        path = tmp_path / "lists.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE {kind} lists AS SELECT 1 AS precious")
        with pytest.raises(InputError, match=f"there is a {kind.lower()} 'lists' that Belfry did not make"):
            write_batch(Untouched(), f"duckdb:{path}?table=lists", n=3)

    def test_objects(self) -> None:
        fsspec = pytest.importorskip("fsspec")
        fsspec.filesystem("memory").pipe_file("/foreign/precious.csv", b"1")
        with pytest.raises(InputError, match=r"holds other objects \(precious\.csv\)"):
            write_batch(Untouched(), "memory://foreign", n=3)


def test_a_duckdb_file_that_another_process_has_open(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "lists.duckdb"
    duckdb.connect(str(path)).close()
    command = [sys.executable, "-c", LOCKED_DUCKDB, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(InputError, match=rf"Could not set lock on file .*PID {other.pid}"):
            write_batch(Untouched(), f"duckdb:{path}", n=3)
        other.communicate("\n")


def test_two_writers_of_a_delta_table_never_double_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as two machines that share a disk whose locks do not hold."""
    deltalake = pytest.importorskip("deltalake")
    from belfry.pipeline.jobs.sinks.delta import DeltaSink

    block = pa.table({"user_id": [1, 2], "score": pa.array([0.5, 0.4], pa.float32())})
    folder = tmp_path / "delta"
    folder.mkdir()
    first, second, third = (DeltaSink(folder, aside=tmp_path / f"aside-{number}") for number in range(3))
    for sink in (first, second, third):
        sink.open(block.schema)
        sink.write(block)
        sink.leave_out(LeftOut({}, ()))
        sink.close()
    first.commit()
    as_first_left_it = deltalake.DeltaTable(folder)
    second.commit()
    with monkeypatch.context() as patched:
        patched.setattr(deltalake, "DeltaTable", lambda folder: as_first_left_it)
        with pytest.raises(SinkError, match="CommitFailedError"):
            third.commit()
    third.abandon()
    (uri,) = deltalake.DeltaTable(folder).file_uris()
    assert uri.endswith(second.path.name)
    assert not third.path.exists()


@pytest.mark.parametrize("is_first", [True, False])
def test_killed_between_a_file_of_a_delta_table_and_its_commit(
    delta_place: Place, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    from belfry.pipeline.jobs.sinks.delta import DeltaSink

    recommender = SmallRecommender()
    if not is_first:
        write_batch(recommender, delta_place.destination, n=2)
    before = delta_place.read()
    with monkeypatch.context() as patched:
        patched.setattr(DeltaSink, "commit", ParquetSink.commit)  # which has the file in place, and no more
        write_batch(recommender, delta_place.destination, n=4)
    assert delta_place.read() == before
    n_rows = write_batch(recommender, delta_place.destination, n=4).n_rows
    assert len(delta_place.read() or []) == n_rows


class TestS3:
    def test_a_bucket_that_is_not_there(self, s3: str) -> None:
        with pytest.raises(
            InputError, match=r"^s3://no-such-bucket/lists: .*mend the address, the credentials or the ri"
        ):
            write_batch(Untouched(), "s3://no-such-bucket/lists", n=3)

    def test_a_bucket_without_rights(self, s3: str) -> None:
        def set_free_calls(number: str) -> None:
            address, headers = f"{s3}/moto-api/reset-auth", {"Content-Type": "text/plain"}
            urllib.request.urlopen(urllib.request.Request(address, number.encode(), headers)).close()

        set_free_calls("0")
        try:
            with pytest.raises(InputError, match=r"^s3://belfry-tests/lists: \w+Error.*the rights to list, write"):
                write_batch(Untouched(), f"s3://{BUCKET}/lists", n=3)
        finally:
            set_free_calls("inf")

    def test_an_address_that_does_not_answer(self, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(InputError, match="Could not connect to the endpoint"):
            write_batch(Untouched(), f"s3://{BUCKET}/lists", n=3)


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[tuple[str, Callable[[], set[str]]]]:
    """A prefix in memory, and the versions below it."""
    files = pytest.importorskip("fsspec").filesystem("memory")
    root = f"/{tmp_path.name}"
    yield f"memory:/{root}", lambda: {name.split("/")[3] for name in files.find(f"{root}/tables")}


def test_tables_that_no_longer_count_are_removed_after_a_day(objects: tuple[str, Callable[[], set[str]]]) -> None:
    url, versions = objects
    files = pytest.importorskip("fsspec").filesystem("memory")
    root = url.removeprefix("memory:/")
    files.pipe_file(f"{root}/tables/20200101T000000-aaaaaaaa/recommendations.parquet", b"left by a killed job")
    write_batch(SmallRecommender(), url, n=3)
    (first,) = versions()
    write_batch(SmallRecommender(), url, n=4)
    assert first in versions()
    assert len(versions()) == 2
    pointer = json.loads(files.cat_file(f"{root}/current.json"))
    assert (pointer["run"], pointer["n"], pointer["n_left_out"]) == ("small-0", 4, 2)


class TestGone:
    """A place that goes away between the check and the commit."""

    def test_a_postgres_server(
        self, postgres_server: PostgresServer, postgres_place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recommender = SmallRecommender()
        write_batch(recommender, postgres_place.destination, n=2)
        before = postgres_place.read()
        read_parts = batch.read_parts

        def stopping(*arguments: object) -> Iterator[pa.Table]:
            for number, rows in enumerate(read_parts(*arguments)):  # type: ignore[arg-type]
                if number == 2:
                    postgres_server.stop()
                yield rows

        with monkeypatch.context() as patched, pytest.raises(SinkError, match=r"Nothing of the new table is visible"):
            patched.setattr(batch, "read_parts", stopping)
            write_batch(recommender, postgres_place.destination, n=4)
        with pytest.raises(InputError, match=r"Connection refused.*mend the address"):
            write_batch(Untouched(), postgres_place.destination, n=4)
        postgres_server.start()
        assert postgres_place.read() == before
        result = write_batch(recommender, postgres_place.destination, n=4)
        assert result.resumed
        assert len(postgres_place.read() or []) == result.n_rows

    def test_object_storage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fsspec = pytest.importorskip("fsspec")
        url, recommender = f"memory://{tmp_path.name}", SmallRecommender()
        write_batch(recommender, url, n=2)
        files = fsspec.filesystem("memory")
        before = files.cat_file(f"/{tmp_path.name}/current.json")
        pipe_file = type(files).pipe_file

        def failing(self: object, path: str, value: bytes, **options: object) -> None:
            if path.endswith("_left_out.json"):
                raise OSError("the connection was reset")
            pipe_file(self, path, value, **options)

        with (
            monkeypatch.context() as patched,
            pytest.raises(SinkError, match="OSError: the connection was reset; mend"),
        ):
            patched.setattr(type(files), "pipe_file", failing)
            write_batch(recommender, url, n=4)
        assert files.cat_file(f"/{tmp_path.name}/current.json") == before
        assert len(files.ls(f"/{tmp_path.name}/tables")) == 1
        assert write_batch(recommender, url, n=4).resumed


def test_a_postgres_table_that_a_job_on_another_machine_writes(
    postgres_server: PostgresServer, postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import adbc_driver_postgresql.dbapi as dbapi

    recommender = SmallRecommender()
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('belfry:public.lists', 0))"
    with dbapi.connect(postgres_server.address) as other, other.cursor() as cursor:

        def begin(done: int, total: int) -> None:
            if done == total:
                cursor.execute(lock)
                cursor.fetchall()

        with pytest.raises(SinkError, match="another job writes table 'lists'; wait until it is done, or stop it"):
            write_batch(recommender, postgres_place.destination, n=3, progress=begin)
        with pytest.raises(InputError, match="another job writes table 'lists'"):
            write_batch(Untouched(), postgres_place.destination, n=3)
    assert write_batch(recommender, postgres_place.destination, n=3).resumed


def test_who_may_read_a_view_may_read_the_next_table(postgres_server: PostgresServer, postgres_place: Place) -> None:
    import adbc_driver_postgresql.dbapi as dbapi

    write_batch(SmallRecommender(), postgres_place.destination, n=3)
    with dbapi.connect(postgres_server.address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader")
        cursor.execute("GRANT USAGE ON SCHEMA public TO reader")
        cursor.execute("GRANT SELECT ON lists TO reader")
        n_rows = write_batch(SmallRecommender(), postgres_place.destination, n=4).n_rows
        cursor.execute("SET ROLE reader")
        cursor.execute("SELECT count(*) FROM lists")
        assert cursor.fetchone() == (n_rows,)
        cursor.execute("RESET ROLE")
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (2,)  # the table and who is left out; earlier ones are dropped
        cursor.execute("DROP OWNED BY reader")
        cursor.execute("DROP ROLE reader")


def test_postgres_in_a_schema_of_its_own(postgres_server: PostgresServer, postgres_place: Place) -> None:
    import adbc_driver_postgresql.dbapi as dbapi

    destination = f"{postgres_server.address}?table=team.recs"
    with pytest.raises(InputError, match="there is no schema 'team'; create it first"):
        write_batch(Untouched(), destination, n=3)
    with dbapi.connect(postgres_server.address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA team")
        n_rows = write_batch(SmallRecommender(), destination, n=3).n_rows
        cursor.execute("SELECT count(*) FROM team.recs")
        assert cursor.fetchone() == (n_rows,)
        cursor.execute("DROP SCHEMA team CASCADE")


def test_blocks_of_a_stream() -> None:
    schema = pa.schema([("x", pa.int64())])
    batches = [pa.record_batch({"x": pa.array(values, pa.int64())}) for values in ([1, 2, 3], [], [4], [5, 6])]
    blocks = [block["x"].to_pylist() for block in resliced(iter(batches), [2, 0, 3], schema)]
    assert blocks == [[1, 2], [], [3, 4, 5], [6]]
    assert [len(block) for block in resliced(iter(batches[:1]), [2, 4], schema)] == [2, 1]
