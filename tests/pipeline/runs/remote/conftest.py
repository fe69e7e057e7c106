"""Artifacts folders at addresses: in memory, and of an S3 server that the tests start."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.signature import Signer
from belfry.pipeline.runs.writer import publish
from tests.pipeline.jobs.sinks.conftest import BUCKET, own_cache, s3, s3_server  # noqa: F401

INFO = RunInfo(preset="default", seed=7, holdout="time", config={}, versions={}, input_hash="0" * 64)


@dataclass(frozen=True)
class Place:
    """An address, and its objects as whoever knows nothing of Belfry sees them."""

    address: str
    files: Any
    root: str

    @property
    def path(self) -> Path:
        return Path(self.address)

    def names(self) -> list[str]:
        self.files.invalidate_cache()
        return sorted(name.removeprefix(f"{self.root}/") for name in self.files.find(self.root))

    def read(self, name: str) -> bytes:
        content: bytes = self.files.cat_file(f"{self.root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        self.files.pipe_file(f"{self.root}/{name}", content)

    def remove(self, name: str) -> None:
        self.files.rm(f"{self.root}/{name}", recursive=True)

    def publish(self, text: str, signer: Signer | None = None) -> Path:
        """A run of two files; gives its folder on this machine."""
        with publish(self.path, INFO, signer=signer) as writer:
            (writer.folder / "index").mkdir()
            (writer.folder / "index" / "vectors.npy").write_text(text)
            (writer.folder / "weights.bin").write_bytes(bytes(100))
        assert writer.published is not None
        return writer.published


def place_at(address: str) -> Place:
    fsspec = pytest.importorskip("fsspec")
    files, root = fsspec.core.url_to_fs(address, use_listings_cache=False)
    return Place(address, files, root)


@pytest.fixture
def memory_place(tmp_path: Path) -> Place:
    return place_at(f"memory://{tmp_path.name}/runs")


@pytest.fixture
def s3_place(s3: str) -> Place:  # noqa: F811
    return place_at(f"s3://{BUCKET}/team/runs")


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    made: Place = request.getfixturevalue(f"{request.param}_place")
    return made
