"""A publisher that is killed leaves a whole run or none, and the next one clears up behind it."""

import random
import subprocess
import sys
import time
from pathlib import Path

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.reader import current_run, open_run
from belfry.pipeline.runs.writer import publish

ROOT = Path(__file__).parents[2]
INFO = RunInfo(preset="default", seed=0, holdout="time", config={}, versions={}, input_hash="")

PUBLISH_ON_AND_ON = """
import os, sys
from pathlib import Path
from belfry.pipeline.runs.writer import publish
from belfry.pipeline.runs.manifest import RunInfo

artifacts, n_runs, info = Path(sys.argv[1]), int(sys.argv[2]), RunInfo.model_validate_json(sys.argv[3])
print("ready", flush=True)
for number in range(n_runs):
    with publish(artifacts, info) as writer:
        for part in range(3):
            (writer.folder / f"part-{part}").write_text(f"{os.getpid()} {number}" * 1000)
"""

# One child after the other is killed before its first, second, ... step that the disk can see, until one lives to the
# end. After each, both the earlier run and whatever became visible must open.
DIE_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from belfry.pipeline.runs.reader import open_run
from belfry.pipeline.runs.writer import publish
from belfry.pipeline.runs.manifest import RunInfo
from tests.faults.killing import count_steps, die_before_step

artifacts, info = Path(sys.argv[1]), RunInfo.model_validate_json(sys.argv[2])

count_steps()
status, n_steps = -1, 0
while status != 0:
    n_steps += 1
    child = os.fork()
    if child == 0:
        die_before_step(n_steps)
        with publish(artifacts, info) as writer:
            (writer.folder / "index").mkdir()
            (writer.folder / "index" / "part").write_text(str(os.getpid()))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    open_run(artifacts)
    for run in artifacts.glob("default-*"):
        open_run(run)
print(n_steps)
"""


def publish_here(artifacts: Path) -> Path:
    with publish(artifacts, INFO) as writer:
        (writer.folder / "file").write_text("x")
    assert writer.published is not None
    return writer.published


def start_publisher(artifacts: Path, *, n_runs: int = 1) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PUBLISH_ON_AND_ON, str(artifacts), str(n_runs), INFO.model_dump_json()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as stdout:
        assert stdout.readline() == "ready\n"
    return process


def check_every_visible_run(artifacts: Path) -> int:
    runs = [path for path in artifacts.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for run in runs:
        open_run(run)
    return len(runs)


def test_killed_at_every_step(tmp_path):
    first = publish_here(tmp_path)
    command = [sys.executable, "-c", DIE_AT_EVERY_STEP, str(tmp_path), INFO.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert int(done.stdout) > 20
    assert current_run(tmp_path) != first
    assert not list(tmp_path.glob(".writing-*"))


def test_killed_at_random_moments(tmp_path):
    moments = random.Random(0)
    for _ in range(8):
        process = start_publisher(tmp_path, n_runs=1000)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.wait()
        n_visible = check_every_visible_run(tmp_path)
        try:
            open_run(tmp_path)
        except ArtifactError as error:  # killed before the first run was there, or before it was the current one
            assert ("'current' is missing" if n_visible else "one without a run") in str(error)
    publish_here(tmp_path)
    assert not list(tmp_path.glob(".writing-*"))


def test_two_publishers_at_once(tmp_path):
    publishers = [start_publisher(tmp_path, n_runs=15) for _ in range(2)]
    opened = 0
    while any(publisher.poll() is None for publisher in publishers):
        try:
            open_run(tmp_path)
            opened += 1
        except ArtifactError as error:
            # Before the first run is whole there is none, and for a moment a whole one that nothing names yet.
            assert not opened
            assert "one without a run" in str(error) or "'current' is missing" in str(error)
    assert [publisher.returncode for publisher in publishers] == [0, 0]
    assert opened
    assert check_every_visible_run(tmp_path) == 30
    assert not list(tmp_path.glob(".writing-*"))


def test_current_never_points_back(tmp_path, monkeypatch):
    """A run that moved into place first must not become current after one that came later."""
    real = Path.rename
    later = []

    def rename(path: Path, target: Path) -> Path:
        moved = real(path, target)
        if not later:
            later.append(start_publisher(tmp_path))
            time.sleep(0.3)  # time for the other to push ahead, were the door open
        return moved

    monkeypatch.setattr(Path, "rename", rename)
    published = publish_here(tmp_path)
    assert later[0].wait() == 0
    assert published != current_run(tmp_path)


def test_a_run_stays_open_while_others_are_published(tmp_path):
    run = open_run(publish_here(tmp_path))
    assert start_publisher(tmp_path).wait() == 0
    assert current_run(tmp_path) != run.folder
    assert run.path("file").read_bytes() == b"x"
    assert open_run(run.folder).name == run.name
