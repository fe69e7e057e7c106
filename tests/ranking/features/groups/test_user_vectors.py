"""Products of a user's vector and those of a candidate's watchers, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.ranking.features.groups.user_vectors import UserVectors
from belfry.ranking.features.pair_features import PairFeatures
from tests.ranking.features.world import CONFIG, candidates_for, random_world


@pytest.fixture(scope="module")
def world() -> FeatureTables:
    return with_vectors(random_world(), 5)


def with_vectors(plain: FeatureTables, dim: int) -> FeatureTables:
    vectors = np.random.default_rng(0).normal(size=(len(plain.history.users) + 1, dim)).astype(np.float32)
    vectors[0] = vectors[3] = 0
    return replace(plain, users=replace(plain.users, vectors={"taste": vectors}))


def test_it_is_the_product_with_how_watchers_differ_from_everybody(world: FeatureTables) -> None:
    pairs = PairFeatures.fit(world, CONFIG)
    candidates = candidates_for(world, np.arange(5, dtype=np.int32))
    found = pairs.matrix(candidates, world)[:, pairs.names(world, candidates.sources).index("user_vector.taste")]
    taste = world.users.vectors["taste"]
    unit = taste / np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-9)
    mean = unit[taste.any(axis=1)].mean(axis=0)
    assert len(candidates)
    for row in range(0, len(candidates), 7):
        watchers = world.history.user_num[world.history.item_num == candidates.item_num[row]]
        others = [unit[user] - mean for user in watchers if taste[user].any()]
        summed = np.sum(others, axis=0) if others else np.zeros(5)
        expected = unit[candidates.users[candidates.row_user[row]]] @ summed
        assert found[row] == pytest.approx(expected / (len(watchers) + CONFIG.segment_smoothing), abs=1e-5)
    assert not found[np.isin(candidates.users[candidates.row_user], [0, 3])].any()


def test_users_with_other_vectors_are_refused(world: FeatureTables) -> None:
    pairs = PairFeatures.fit(world, CONFIG)
    with pytest.raises(ArtifactError, match="dimensions of users' taste"):
        pairs.names(with_vectors(world, 4))


def test_without_vectors_the_group_is_left_out() -> None:
    assert not UserVectors.can_fit(random_world(), CONFIG)
