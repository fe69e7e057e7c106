"""The distribution: what is in it, and that it lives beside modules of the user's that have the names of our rooms."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from belfry.pipeline.serving.recommender import Recommender

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "belfry"
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if path.is_symlink())
METADATA = "belfry_recommender-0.1.0.dist-info"

BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # the backend changes sys.argv
build_meta.build_wheel(folder)
build_meta.build_sdist(folder)
"""
ANSWER = """
import json, sys
import belfry, dataset, layers, pipeline
assert pipeline.OWNER == dataset.OWNER == layers.OWNER == "the user"
lists = belfry.recommend(json.loads(sys.argv[2]), 3, artifacts=sys.argv[1])
print(json.dumps([belfry.__file__, [[one.item_id, one.score] for one in lists]]))
"""


def copy_of_source(folder: Path) -> Path:
    """What is built from, links and all, so that a build writes nothing into the repository and finds no old one."""
    folder.mkdir()
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("belfry", "tests", *ROOMS):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def build(source: Path, folder: Path) -> Path:
    """The wheel of `source`, in `folder` beside the archive of its source."""
    folder.mkdir()
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=source, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "!!" not in done.stdout + done.stderr  # how setuptools warns
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packaging")
    return build(copy_of_source(folder / "source"), folder / "built")


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.startswith(METADATA)}


def test_the_wheel_holds_every_file_of_the_package_once_and_nothing_else(wheel: Path) -> None:
    expected = {f"belfry/{path.name}": path for path in PACKAGE.iterdir() if path.is_file()}
    for room in ROOMS:
        files = (path for path in (ROOT / room).rglob("*") if path.is_file() and path.parent.name != "__pycache__")
        expected |= {f"belfry/{path.relative_to(ROOT).as_posix()}": path for path in files}
    assert contents(wheel) == {name: path.read_bytes() for name, path in expected.items()}
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        assert len(set(names)) == len(names)
        assert archive.read(f"{METADATA}/top_level.txt") == b"belfry\n"
        assert b"belfry = belfry.pipeline.cli.main:main" in archive.read(f"{METADATA}/entry_points.txt")


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    (packed,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert not (source / "tests").exists()
    assert contents(build(source, tmp_path / "built")) == contents(wheel)


def test_an_installed_copy_answers_beside_modules_of_the_user(wheel: Path, tiny_run: Path, tmp_path: Path) -> None:
    site, home = tmp_path / "site", tmp_path / "home"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], timeout=120, check=True)
    (home / "dataset").mkdir(parents=True)
    for name in ("pipeline.py", "layers.py", "dataset/__init__.py"):
        (home / name).write_text("OWNER = 'the user'\n")
    (home / "answer.py").write_text(ANSWER)

    recommender = Recommender.load(tiny_run)
    user = recommender.users.ids[0].as_py()
    done = subprocess.run(
        [sys.executable, "-W", "error", "answer.py", str(tiny_run), json.dumps(user)],
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, lists = json.loads(done.stdout)
    assert Path(file) == site / "belfry" / "__init__.py"
    assert lists == [[one.item_id, pytest.approx(one.score)] for one in recommender.recommend(user, 3)]
