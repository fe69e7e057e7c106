"""Segments: how much more a group of users watches an item than everybody does."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.ranking.features.groups.segments import Segments
from tests.ranking.features.world import CONFIG


def test_segment_lift(world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    group_of = world.users.categorical["group"]
    share = (world.history.item_counts + 1) / (len(world.history) + 21)
    lifts = columns["segment.group"]
    for row, (user, item) in enumerate(zip(asked.user_num, asked.item_num, strict=True)):
        in_group = group_of[world.history.user_num] == group_of[user]
        n = (in_group & (world.history.item_num == item)).sum()
        expected = np.log((n + 20 * share[item]) / ((in_group.sum() + 20) * share[item])) if group_of[user] else 0
        assert lifts[row] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert (lifts[group_of[asked.user_num] == 0] == 0).all()
    assert (group_of[asked.user_num] == 0).any()


def test_user_columns_of_many_categories_make_no_segments(world: FeatureTables) -> None:
    """The world's one has 4."""
    for limit, is_there in ((3, False), (4, True)):
        assert ("group" in Segments.fit(world, CONFIG.model_copy(update={"max_categories": limit}))) == is_there


def test_tenths_of_a_number_go_by_its_name_and_a_given_column_by_its_own(world: FeatureTables) -> None:
    group = world.users.categorical["group"]
    given, sizes = {"age_bucket_2": np.minimum(group, 1), "age_bucket": group}, {"age_bucket_2": 2, "age_bucket": 4}
    users = FeatureColumns(given, world.users.numeric, {}, sizes, tenths={"age_bucket_2": "age"})
    features = replace(world, users=users)
    columns = Segments(Segments.fit(features, CONFIG)).columns(features, ())
    assert [column.about for column in columns] == ["users of the same age", "users of the same age_bucket"]
