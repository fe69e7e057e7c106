"""One random world, candidates for all of its users that have events, and their columns."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from tests.ranking.features.world import candidates_for, matrix_of, random_world


@pytest.fixture(scope="session")
def world() -> FeatureTables:
    return random_world()


@pytest.fixture(scope="session")
def asked(world: FeatureTables) -> Candidates:
    return candidates_for(world, list(range(1, 30)), n=12)


@pytest.fixture(scope="session")
def columns(world: FeatureTables, asked: Candidates) -> dict[str, np.ndarray]:
    return matrix_of(world, asked)
