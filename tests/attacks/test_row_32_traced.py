"""Row 32: training and answering look up no name, connect to nothing, and write nowhere but where they are told to."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]")
OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]*)", ([A-Z_|]+)')

needs_tracer = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")


def write_events(path: Path) -> None:
    generator = np.random.default_rng(0)
    pairs = [(user, item) for user in range(40) for item in generator.choice(24, 8, replace=False)]
    users, items = zip(*pairs, strict=True)
    pq.write_table(pa.table({"user_id": users, "item_id": [int(item) for item in items]}), path)


def traced(arguments: list[str], folder: Path) -> str:
    """The system calls of a command, run in an empty home; refused where a tracer may not look."""
    homes = {name: folder / name.lower() for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR")}
    for home in homes.values():
        home.mkdir(exist_ok=True)
    dropped = {"ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR", *homes}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    environment = {**kept, **{name: str(home) for name, home in homes.items()}, "PYTHONDONTWRITEBYTECODE": "1"}
    log = folder / "trace"
    calls = "trace=socket,connect,sendto,open,openat,creat,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat"
    command = ["strace", "-f", "-qq", "-s", "4096", "-e", calls, "-o", str(log), sys.executable, "-m", "belfry"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip("may not trace here")
    assert done.returncode == 0, done.stderr
    return log.read_text(errors="replace")


def check(trace: str, allowed: list[Path]) -> None:
    network = [line for line in trace.splitlines() if re.search(r"AF_INET|AF_NETLINK|resolv\.conf|/etc/hosts", line)]
    assert network == []
    written = {
        name
        for name, flags in OPENED.findall(trace)
        if {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"} & set(flags.split("|")) and "O_TMPFILE" not in flags
    }
    places = tuple(map(str, (*allowed, "/dev/", "/proc/")))
    assert {name for name in written if not os.path.abspath(os.path.join(ROOT, name)).startswith(places)} == set()  # noqa: PTH100, PTH118


@needs_tracer
def test_training_and_answering_stay_at_home(tmp_path: Path) -> None:
    events, artifacts, out = tmp_path / "events.parquet", tmp_path / "artifacts", tmp_path / "out"
    write_events(events)
    allowed = [artifacts, out, tmp_path / "tmpdir"]
    settings = [argument for setting in LIGHT for argument in ("--set", setting)]
    train = ["train", "--interactions", str(events), "--artifacts", str(artifacts), "--quiet", *settings]
    check(traced(train, tmp_path), allowed)
    check(traced(["recommend", "1", "-n", "3", "--artifacts", str(artifacts)], tmp_path), allowed)
    batch = ["batch", "--artifacts", str(artifacts), "--users", "all", "-n", "3", "--out", str(out), "--quiet"]
    check(traced(batch, tmp_path), allowed)
    for name in ("home", "xdg_cache_home", "xdg_config_home", "tmpdir"):
        assert list((tmp_path / name).rglob("*")) == [], name


@needs_tracer
def test_answering_from_graphs_stays_at_home(tiny_run: Path, tmp_path: Path) -> None:
    """ONNX Runtime would look up a host and write to the cache folder and `.ses` in the temporary one."""
    user = pq.read_table(tiny_run / "users.parquet")["user_id"][0].as_py()
    trace = traced(["recommend", "-n", "3", "--artifacts", str(tiny_run), "--", str(user)], tmp_path)
    check(trace, [tmp_path / "tmpdir"])
    assert [path for name in ("home", "xdg_cache_home", "tmpdir") for path in (tmp_path / name).rglob("*")] == []
