"""Every place that a table may go to, real ones: files, an S3 server and a PostgreSQL server that the tests start."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BUCKET = "belfry-tests"


@dataclass(frozen=True)
class Place:
    """A destination, and how a reader who knows nothing of Belfry reads it."""

    destination: str
    read: Callable[[], pa.Table | None]  # None: there is no table
    left_out: Callable[[], set[int | str]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=["folder", "delta", "duckdb", "memory", "s3", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.getfixturevalue(f"{request.param}_place")
    return made


@pytest.fixture
def folder_place(tmp_path: Path) -> Place:
    path = tmp_path / "lists"
    table = path / "recommendations.parquet"
    return Place(
        str(path),
        lambda: pq.read_table(table) if table.exists() else None,
        lambda: _listed((path / "_left_out.json").read_bytes()),
    )


@pytest.fixture
def delta_place(tmp_path: Path) -> Place:
    deltalake = pytest.importorskip("deltalake")
    path = tmp_path / "delta"

    def read() -> pa.Table | None:
        if not (path / "_delta_log").exists():
            return None
        return pa.table(
            deltalake.QueryBuilder().register("lists", deltalake.DeltaTable(path)).execute("SELECT * FROM lists")
        )

    return Place(f"delta:{path}", read, lambda: _listed((path / "_left_out.json").read_bytes()))


@pytest.fixture
def duckdb_place(tmp_path: Path) -> Place:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "lists.duckdb"

    def query(text: str) -> pa.Table | None:
        if not path.exists():
            return None
        with duckdb.connect(str(path), read_only=True) as connection:
            views = {name for (name,) in connection.sql("SELECT view_name FROM duckdb_views()").fetchall()}
            return connection.sql(text).to_arrow_table() if "lists" in views else None

    return Place(
        f"duckdb:{path}?table=lists",
        lambda: query("SELECT * FROM lists"),
        lambda: {*query("SELECT user_id FROM lists_left_out")["user_id"].to_pylist()},  # type: ignore[index]
    )


def _object_place(url: str) -> Place:
    fsspec = pytest.importorskip("fsspec")

    def pointed(what: str) -> bytes | None:
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        files.invalidate_cache()
        try:
            pointer = json.loads(files.cat_file(f"{root}/current.json"))
        except FileNotFoundError:
            return None
        content: bytes = files.cat_file(f"{root}/{pointer[what]}")
        return content

    def read() -> pa.Table | None:
        content = pointed("table")
        return None if content is None else pq.read_table(pa.BufferReader(content))

    return Place(url, read, lambda: _listed(pointed("left_out") or b""))


@pytest.fixture
def memory_place(tmp_path: Path) -> Place:
    return _object_place(f"memory://{tmp_path.name}/lists")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = pytest.importorskip("moto.server", reason="needs moto[server]")
    pytest.importorskip("s3fs", reason="needs s3fs")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server with an empty bucket, which children of the test know too."""
    import boto3
    import s3fs

    for name, value in {
        "AWS_ACCESS_KEY_ID": "belfry",
        "AWS_SECRET_ACCESS_KEY": "belfry",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = boto3.resource("s3").Bucket(BUCKET)
    bucket.create()
    bucket.objects.all().delete()
    return s3_server


@pytest.fixture
def s3_place(s3: str) -> Place:
    return _object_place(f"s3://{BUCKET}/team/lists")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    pytest.importorskip("adbc_driver_postgresql", reason="needs adbc-driver-postgresql")
    programs = [Path(found).resolve().parent for name in ("pg_ctl",) if (found := shutil.which(name))]
    programs += [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))]
    if not programs:
        pytest.skip("no PostgreSQL server is installed here")
    folder = Path(tempfile.mkdtemp(prefix="belfry-postgres-"))
    server = PostgresServer(programs[0], folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class PostgresServer:
    """A server of its own, which listens on this machine alone; it refuses to run as root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        self.user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = next((name for name in ("postgres", "nobody") if name in names), None)
            shutil.chown(folder, self.user)
        self._run("initdb", "--no-sync", "--auth=trust", "--username=belfry", "-D", str(folder / "data"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"postgresql://belfry@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        log = self.folder / "log"
        self._run("pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", str(log), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-w", "-D", str(self.folder / "data"), "-m", mode, check=False)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self.programs / program), *arguments]
        subprocess.run(
            command, user=self.user, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )


@pytest.fixture
def postgres_place(postgres_server: PostgresServer) -> Iterator[Place]:
    import adbc_driver_postgresql.dbapi as dbapi

    def query(text: str) -> pa.Table | None:
        with dbapi.connect(postgres_server.address) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_views WHERE viewname = 'lists'")
            if cursor.fetchone() == (0,):
                return None
            cursor.execute(text)
            return cursor.fetch_arrow_table()

    yield Place(
        f"{postgres_server.address}?table=lists",
        lambda: query("SELECT * FROM lists"),
        lambda: {*query("SELECT user_id FROM lists_left_out")["user_id"].to_pylist()},  # type: ignore[index]
    )
    with dbapi.connect(postgres_server.address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE")
        cursor.execute("CREATE SCHEMA public")


def _listed(content: bytes) -> set[int | str]:
    return {entry["user_id"] for entry in json.loads(content)["left_out"]}
