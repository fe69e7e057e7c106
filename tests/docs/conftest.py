"""One trained run and the tables that pages and examples name; a test that changes them copies the folder."""

from pathlib import Path

import pytest

from tests.docs.world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))
