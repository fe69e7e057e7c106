"""Small file systems, where this user may mount them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "belfry-test", str(folder)]
    try:
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    if not is_mounted:
        pytest.skip("may not mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    with mounted(tmp_path / "disk", "size=3m") as folder:
        yield folder


@pytest.fixture
def sealed_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that can only be read."""
    with mounted(tmp_path / "disk", "size=1m,ro") as folder:
        yield folder
