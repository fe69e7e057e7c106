"""Row 35: the output folder removed, moved or replaced, a limit reached, the lock taken away, while a job writes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.jobs import batch_parts
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.evaluate import evaluate_published
from belfry.pipeline.runs.disk import check_writable, write_together
from belfry.pipeline.runs.lock import hold
from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.writer import publish
from belfry.pipeline.serving.recommender import Recommender
from tests.pipeline.small_recommender import SmallRecommender

ROOT = Path(__file__).parents[2]
INFO = RunInfo(preset="default", seed=0, holdout="time", config={}, versions={}, input_hash="")
TABLE = "recommendations.parquet"


def remove(out: Path) -> None:
    shutil.rmtree(out)


def move(out: Path) -> None:
    out.rename(out.with_name("elsewhere"))


def replace_by_a_link(out: Path) -> None:
    other = out.with_name("other")
    other.mkdir()
    (other / "precious").write_text("precious")
    move(out)
    out.symlink_to(other)


def replace_by_a_file(out: Path) -> None:
    move(out)
    out.write_text("precious")


def replace_by_a_new_folder(out: Path) -> None:
    move(out)
    out.mkdir()


ACCIDENTS = [remove, move, replace_by_a_link, replace_by_a_file, replace_by_a_new_folder]


@pytest.fixture
def recommender(monkeypatch: pytest.MonkeyPatch) -> SmallRecommender:
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", 10)
    return SmallRecommender()


@pytest.fixture
def whole(recommender: SmallRecommender, tmp_path: Path) -> bytes:
    return write_batch(recommender, tmp_path / "whole", n=5).path.read_bytes()


@pytest.mark.parametrize("after", [10, 40])
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_row_35_the_output_is_gone_while_a_table_is_written(
    recommender: SmallRecommender, whole: bytes, tmp_path: Path, accident: Callable[[Path], None], after: int
) -> None:
    out = tmp_path / "out"

    def progress(done: int, total: int) -> None:
        if done == after:
            accident(out)

    with pytest.raises(BelfryError, match=rf"^{out}.*was removed, moved or replaced while it was written; leave it al"):
        write_batch(recommender, out, n=5, progress=progress)

    for place in (out, tmp_path / "elsewhere", tmp_path / "other"):
        assert not (place / TABLE).exists()
    if (tmp_path / "other").exists():
        assert [path.name for path in (tmp_path / "other").iterdir()] == ["precious"]
    if out.is_file() or out.is_symlink():
        out.unlink()
    assert write_batch(recommender, out, n=5).path.read_bytes() == whole


def test_row_35_the_lock_is_removed_by_hand(recommender: SmallRecommender, whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def progress(done: int, total: int) -> None:
        (out / ".lock").unlink(missing_ok=True)

    with pytest.raises(
        BelfryError, match=rf"^{out}/\.lock: the lock was removed or replaced while the job was at work"
    ):
        write_batch(recommender, out, n=5, progress=progress)
    assert not list(out.iterdir())
    assert write_batch(recommender, out, n=5).path.read_bytes() == whole


@pytest.mark.parametrize("accident", [remove, move])
def test_row_35_the_artifacts_are_gone_while_a_run_is_written(tmp_path: Path, accident: Callable[[Path], None]) -> None:
    artifacts = tmp_path / "artifacts"
    with pytest.raises(BelfryError, match=rf"^{artifacts}"), publish(artifacts, INFO) as writer:
        (writer.folder / "file").write_text("half")
        accident(artifacts)
        (writer.folder / "more").write_text("half")
    assert not (artifacts / "current").exists()
    assert not list(tmp_path.glob("elsewhere/*/manifest.json"))
    with publish(artifacts, INFO) as writer:
        (writer.folder / "file").write_text("whole")


LIMITED = """
import resource, signal, sys
from pathlib import Path
from belfry.dataset.errors import BelfryError
from belfry.pipeline.jobs.batch import write_batch
from tests.pipeline.small_recommender import SmallRecommender
recommender = SmallRecommender(n_users=3000, n_items=25)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_batch(recommender, Path(sys.argv[1]), n=20)
except BelfryError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [500, 5_000, 50_000])
def test_row_35_a_limit_on_the_size_of_files(tmp_path: Path, limit: int) -> None:
    """Among the parts, and while they are put together."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", LIMITED, str(out), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}/.parts-")
    assert f"than this process may write ({limit:,} bytes, see ulimit -f)" in done.stdout
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_row_4_a_full_disk_is_named_by_file_and_bytes(small_disk: Path) -> None:
    with pytest.raises(
        BelfryError, match=rf"^{small_disk}/out/\.parts-.*/.*parquet: the disk is full \([\d,]+ bytes free"
    ):
        write_batch(SmallRecommender(n_users=3000, n_items=400), small_disk / "out", n=300)
    assert [path.name for path in (small_disk / "out").iterdir()] == [".lock"]
    with pytest.raises(
        BelfryError, match=rf"^{small_disk}/report/.*/evaluation\.md: the disk is full \([\d,]+ bytes free"
    ):
        write_together(small_disk / "report", {"evaluation.json": "{}", "evaluation.md": "x" * 5_000_000})
    assert not list((small_disk / "report").iterdir())


# Row 5: places are looked at before the work.


def test_row_5_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for name, match in {
        "file": "is a file, a folder is wanted",
        "file/below": "its parent .*file is not a folder",
        "dangling": "is a link to 'nowhere', where nothing is; remove it or name another place",
        "loop": "is a link to 'loop', where nothing is",
        "missing/below": "its parent .*missing is not a folder; create it first",
        "x" * 300: r"cannot be written \(File name too long\)",
    }.items():
        with pytest.raises(InputError, match=match):
            check_writable(tmp_path / name)
    check_writable(tmp_path / "link")
    check_writable(tmp_path / "new")


@pytest.mark.skipif(shutil.which("setpriv") is None and os.geteuid() == 0, reason="root may write anywhere")
def test_row_5_a_folder_that_may_only_be_read(tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    folder.chmod(0o555)
    program = """
import sys
from pathlib import Path
from belfry.dataset.errors import InputError
from belfry.pipeline.runs.disk import check_writable
for name in ("folder", "folder/new"):
    try:
        check_writable(Path(sys.argv[1]) / name, remedy="name another folder with --out")
    except InputError as error:
        print(error)
"""
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    command = [*powerless, sys.executable, "-c", program, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said == (
        f"{folder}: cannot be written (Permission denied); name another folder with --out\n"
        f"{folder}/new: cannot be made, for {folder} cannot be written (Permission denied); "
        "name another folder with --out\n"
    )


def test_row_36_a_lock_file_that_steers_a_terminal(recommender: SmallRecommender, tmp_path: Path) -> None:
    with hold(tmp_path / ".lock"):
        (tmp_path / ".lock").write_bytes(b"\x1b[2J\xff\xe2\x80\xae" + b"x" * 100_000)
        with pytest.raises(InputError, match=r"in use by \\x1b\[2J") as refused:
            write_batch(recommender, tmp_path, n=5)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_row_5_the_place_of_a_report_is_looked_at_before_anything_is_judged(
    recommender: SmallRecommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommender, "run", replace(recommender.run, folder=tmp_path / "artifacts" / "small-0"))
    monkeypatch.setattr(Recommender, "load", lambda artifacts, **options: recommender)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "evaluations").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for out, match in ((None, "evaluations: is a file"), (tmp_path / "link", "is a link to 'nowhere'")):
        with pytest.raises(InputError, match=match):  # and not that there is no test table
            evaluate_published(None, tmp_path / "missing.parquet", n=3, min_history=1, seed=0, out=out)
