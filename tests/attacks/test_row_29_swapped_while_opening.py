"""Rows 29 and 34: what answers is what was hashed, whatever becomes of the files meanwhile and afterwards."""

import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.reader import find_run
from belfry.pipeline.serving.recommender import Recommender
from tests.attacks.resealing import reseal

SWAPPED = ("serving/sources/two_tower/vectors.npy", "items.parquet", "serving/sources/two_tower/query_tower.onnx")


@pytest.mark.parametrize(("name", "large"), [*((name, 1 << 20) for name in SWAPPED), (SWAPPED[0], 1)])
def test_a_file_swapped_while_loads_run(
    name: str, large: int, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("belfry.pipeline.runs.sealed._LARGE", large)
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    expected = Recommender.load(run)
    user = expected.users.ids[0].as_py()
    lists = expected.recommend(user, 5)
    sealed = (run / name).read_bytes()
    other = sealed[:-400] + bytes(byte ^ 1 for byte in sealed[-400:])
    done = threading.Event()

    def swap() -> None:
        aside = tmp_path / "aside"
        while not done.is_set():
            for content in (other, sealed):
                aside.write_bytes(content)
                aside.replace(run / name)

    thread = threading.Thread(target=swap)
    thread.start()
    opened = 0
    try:
        for _ in range(25):
            try:
                loaded = Recommender.load(run)
            except ArtifactError as error:
                assert f"file {name!r} has" in str(error)
                continue
            opened += 1
            assert loaded.recommend(user, 5) == lists
            np.testing.assert_array_equal(loaded.two_stage.vectors, expected.two_stage.vectors)
    finally:
        done.set()
        thread.join()
    (run / name).write_bytes(sealed)
    assert Recommender.load(run).recommend(user, 5) == lists


def test_files_of_a_loaded_run_rewritten_cut_and_removed(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    loaded = Recommender.load(run)
    users = loaded.users.ids.to_pylist()[:20]
    lists = loaded.recommend_many(users, 5)
    files = [path for path in run.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o644)
        path.write_bytes(bytes(path.stat().st_size))
    assert loaded.recommend_many(users, 5).equals(lists)
    for path in files:
        os.truncate(path, 0)
    assert loaded.recommend_many(users, 5).equals(lists)
    shutil.rmtree(run)
    assert loaded.recommend_many(users, 5).equals(lists)


def test_small_files_of_a_run_are_not_mapped(tiny_run: Path) -> None:
    loaded = Recommender.load(tiny_run)
    assert str(tiny_run) not in Path("/proc/self/maps").read_text()
    assert not loaded.two_stage.vectors.flags.writeable


@pytest.fixture
def small_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of any size are mapped."""
    monkeypatch.setattr("belfry.pipeline.runs.sealed._LARGE", 1)


@pytest.mark.usefixtures("small_maps")
def test_large_files_are_mapped_as_they_were_published(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    loaded = Recommender.load(run)
    assert str(run / SWAPPED[0]) in Path("/proc/self/maps").read_text()
    assert not loaded.two_stage.vectors.flags.writeable
    users = loaded.users.ids.to_pylist()[:20]
    lists = loaded.recommend_many(users, 5)
    for path in run.rglob("*.npy"):
        (tmp_path / "aside").write_bytes(bytes(path.stat().st_size))
        (tmp_path / "aside").replace(path)
    assert loaded.recommend_many(users, 5).equals(lists)
    with pytest.raises(ArtifactError, match="SHA-256"):
        Recommender.load(run)
    shutil.rmtree(run)
    assert loaded.recommend_many(users, 5).equals(lists)
    del loaded
    assert str(run) not in Path("/proc/self/maps").read_text()


@pytest.mark.usefixtures("small_maps")
@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: b"x" + content[1:]])
def test_a_large_file_that_was_changed_is_refused(
    change: Callable[[bytes], bytes], tiny_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    path = run / SWAPPED[0]
    path.chmod(0o644)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ArtifactError, match=r"file 'serving/sources/two_tower/vectors\.npy' has"):
        Recommender.load(run)


@pytest.mark.usefixtures("small_maps")
def test_large_files_of_equal_content_are_mapped_once(tiny_run: Path, tmp_path: Path) -> None:
    vectors = (tiny_run / SWAPPED[0]).read_bytes()
    run = find_run(reseal(tiny_run, tmp_path, **{"one.npy": vectors, "other.npy": vectors}))
    assert run.files.map("one.npy") is run.files.map("other.npy")


def test_published_files_are_read_only(tiny_run: Path) -> None:
    files = [path for path in tiny_run.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o222, path
