"""Cosines of a candidate's vector and what the user watched, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.features import FeatureTables
from belfry.ranking.features.groups.vectors import Vectors
from belfry.ranking.features.pair_features import PairFeatures
from tests.ranking.features.world import CONFIG, candidates_for, random_world


@pytest.fixture(scope="module")
def world() -> FeatureTables:
    plain = random_world()
    vectors = np.random.default_rng(0).normal(size=(len(plain.history.items) + 1, 5)).astype(np.float32)
    vectors[0] = vectors[3] = 0
    return replace(plain, items=replace(plain.items, vectors={"look": vectors}))


def test_it_is_the_cosine_with_the_sum_of_the_history(world: FeatureTables) -> None:
    pairs = PairFeatures.fit(world, CONFIG)
    candidates = candidates_for(world, np.arange(5, dtype=np.int32))
    names = pairs.names(world, candidates.sources)
    found = pairs.matrix(candidates, world)[:, names.index("vector.look.uniform")]
    look = world.items.vectors["look"]
    unit = look / np.maximum(np.linalg.norm(look, axis=1, keepdims=True), 1e-9)
    for row in range(0, len(candidates), 7):
        user = candidates.users[candidates.row_user[row]]
        own = (
            unit[world.history.item_num[world.history.by_user.of(user)][-CONFIG.max_history :]].sum(axis=0)
            if user
            else 0
        )
        length = np.linalg.norm(own)
        expected = unit[candidates.item_num[row]] @ own / length if length > 0 else 0
        assert found[row] == pytest.approx(expected, abs=1e-4)


def test_without_vectors_the_group_is_left_out() -> None:
    assert not Vectors.can_fit(random_world(), CONFIG)
