"""A small run, and clients of applications that answer from it."""

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from belfry import Recommender, train
from belfry.pipeline.server.app import create_app
from belfry.pipeline.server.settings import Settings

SETTINGS = ["retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]"]
USERS = range(1, 41)

Client = Callable[..., TestClient]


def publish(artifacts: Path, seed: int = 0) -> Recommender:
    """A new current run: users 1 to 40, items 100 to 129 with titles."""
    random = np.random.default_rng(seed)
    events = pa.table({"user_id": random.integers(1, 41, 400), "item_id": random.integers(100, 130, 400)})
    items = pa.table({"item_id": range(100, 130), "title": [f"Film <b>{number}</b>" for number in range(100, 130)]})
    return train(events, items=items, settings=SETTINGS, artifacts=artifacts, seed=seed)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifacts folder with one run; only to be read."""
    artifacts = tmp_path_factory.mktemp("served") / "artifacts"
    publish(artifacts)
    return artifacts


@pytest.fixture(scope="session")
def recommender(published: Path) -> Recommender:
    return Recommender.load(published)


@pytest.fixture
def artifacts(published: Path, tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(published, tmp_path / "artifacts"))


@pytest.fixture
def client(published: Path) -> Iterator[Client]:
    """`client(rate=...)`: of an application that has been started; its failures are answers, as over a wire."""
    with ExitStack() as stack:

        def make(artifacts: Path = published, **settings: object) -> TestClient:
            app = create_app(Settings(artifacts, **settings))  # type: ignore[arg-type]
            made = TestClient(app, base_url="http://localhost", raise_server_exceptions=False, client=("127.0.0.1", 1))
            return stack.enter_context(made)

        yield make


@pytest.fixture
def asked(client: Client) -> TestClient:
    """Of an application of defaults."""
    return client()


@pytest.fixture
def port() -> int:
    return free_port()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
