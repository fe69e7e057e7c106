from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.retrieval.popularity import Popularity, PopularityConfig
from tests.contracts.checkerboard import NO_COLUMNS, Checkerboard, checkerboard, features_of
from tests.contracts.retriever import TrainedRetrieverPromises

DAY = 86_400


class TestPopularityPromises(TrainedRetrieverPromises):
    learns_checkerboard = False

    def unfitted(self) -> Popularity:
        return Popularity(PopularityConfig())


class TestRecentPopularityPromises(TestPopularityPromises):
    def unfitted(self) -> Popularity:
        return Popularity(PopularityConfig(half_life_days=1))


def watches(pairs: list[tuple[int, int]], days: list[float] | None = None) -> Interactions:
    users, items = np.array(pairs).T
    columns = {"user_id": users, "item_id": items}
    if days is not None:
        columns["timestamp_s"] = (np.array(days) * DAY).astype(np.int64)
    return Interactions.from_table(pa.table(columns))


def list_for_unknown(history: Interactions, config: PopularityConfig | None = None) -> list[tuple[int, float]]:
    model = Popularity(config or PopularityConfig()).fit(history, features_of(history), seed=0)
    candidates = model.retrieve(
        np.zeros(1, np.int32), features_of(history), top_k=99, exclude=SeenItems.nothing(len(history.users))
    )
    return list(zip(candidates.item_num.tolist(), candidates.score.tolist(), strict=True))


def test_counts_watches_and_breaks_ties_by_item() -> None:
    history = watches([(1, 3), (2, 3), (1, 2), (2, 1), (3, 3)])
    assert list_for_unknown(history) == [(3, 3), (1, 1), (2, 1)]


def test_half_life_halves_a_watch() -> None:
    history = watches([(1, 1), (2, 1), (3, 1), (1, 2)], days=[0, 0, 0, 14])
    assert list_for_unknown(history) == [(1, 3), (2, 1)]
    assert list_for_unknown(history, PopularityConfig(half_life_days=7)) == [(2, 1), (1, 0.75)]


def test_half_life_without_times_counts_plainly() -> None:
    history = watches([(1, 2), (2, 2), (1, 1)])
    assert list_for_unknown(history, PopularityConfig(half_life_days=7)) == [(2, 2), (1, 1)]


def test_an_item_without_watches_scores_zero_and_comes_last() -> None:
    everything = watches([(1, 1), (1, 2), (2, 3)])
    assert list_for_unknown(everything.select(np.array([False, True, True]))) == [(2, 1), (3, 1), (1, 0)]


def test_who_saw_everything_gets_nothing() -> None:
    history = watches([(1, 1), (1, 2), (2, 2)])
    model = Popularity(PopularityConfig()).fit(history, features_of(history), seed=0)
    candidates = model.retrieve(np.array([1, 2], np.int32), features_of(history), top_k=9, exclude=history.seen_items)
    assert candidates.user_num.tolist() == [2]
    assert candidates.item_num.tolist() == [1]


def test_many_blocks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    history = watches(list(zip(generator.integers(1, 40, 300), generator.integers(1, 30, 300), strict=True)))
    model = Popularity(PopularityConfig()).fit(history, features_of(history), seed=0)
    users = np.arange(1, len(history.users) + 1, dtype=np.int32)
    whole = model.retrieve(users, features_of(history), top_k=5, exclude=history.seen_items)
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 50)
    parts = model.retrieve(users, features_of(history), top_k=5, exclude=history.seen_items)
    assert whole.row_user.tolist() == parts.row_user.tolist()
    assert whole.item_num.tolist() == parts.item_num.tolist()


# Users 1-3 are of group 1, 4-9 of group 2, and 10 and 11 have a group but no watches.
GROUP = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 2], np.int32)
BY_SEGMENT = PopularityConfig(segment_smoothing=1)


def grouped_watches() -> tuple[Interactions, FeatureTables]:
    """Group 1 watches items 1 and 2, group 2 items 2 and 3; item 4 is known and never watched."""
    pairs = [(user, item) for user in range(1, 4) for item in (1, 2)]
    pairs += [(user, item) for user in range(4, 10) for item in (2, 3)]
    everything = watches([*pairs, (10, 4), (11, 4)])
    history = everything.select(everything.item_num < 4)
    return history, features_of_groups(history, GROUP)


def features_of_groups(history: Interactions, group: np.ndarray) -> FeatureTables:
    users = FeatureColumns(categorical={"group": group}, sizes={"group": int(group.max()) + 1})
    return FeatureTables(history, users, NO_COLUMNS)


def lists_by_segment(users: list[int], config: PopularityConfig = BY_SEGMENT) -> list[tuple[int, float]]:
    history, features = grouped_watches()
    model = Popularity(config).fit(history, features, seed=0)
    found = model.retrieve(np.array(users, np.int32), features, top_k=9, exclude=history.seen_items)
    return list(zip(found.item_num.tolist(), found.score.tolist(), strict=True))


def test_the_parts_of_a_score_add_up_to_it() -> None:
    history, features = grouped_watches()
    model = Popularity(BY_SEGMENT).fit(history, features, seed=0)
    for user in (1, 4, 10):
        found = model.retrieve(np.array([user], np.int32), features, top_k=9, exclude=history.seen_items)
        parts = model.parts(user, found.item_num, features)
        assert list(parts) == [None, "group"]
        np.testing.assert_allclose(sum(parts.values()), found.score, rtol=1e-6)
    plain = Popularity(PopularityConfig()).fit(history, features, seed=0)
    assert list(plain.parts(1, np.array([2], np.int32), features)) == [None]
    np.testing.assert_allclose(plain.parts(1, np.array([2], np.int32), features)[None], np.log(9), rtol=1e-6)


class TestPopularityBySegmentPromises(TestPopularityPromises):
    learns_checkerboard = True  # where it is told who is even

    def unfitted(self) -> Popularity:
        return Popularity(BY_SEGMENT)

    @pytest.fixture
    def board(self) -> Checkerboard:
        return GroupedCheckerboard(**vars(checkerboard()))


class GroupedCheckerboard(Checkerboard):
    @property
    def features(self) -> FeatureTables:
        return features_of_groups(self.history, np.array([0, *(1 + self.users % 2)], np.int32))


def test_without_a_history_the_group_speaks() -> None:
    assert [item for item, _ in lists_by_segment([10])] == [2, 1, 3, 4]
    assert [item for item, _ in lists_by_segment([11])] == [2, 3, 1, 4]


def test_a_lift_is_the_smoothed_log_of_watches_over_those_expected() -> None:
    # Group 1 made 6 of 18 watches. Item 1: 3 watches where 3 * 6 / 18 = 1 was expected; item 3: none of 2.
    scores = dict(lists_by_segment([10]))
    assert scores[1] == pytest.approx(np.log(3) + np.log((3 + 1) / (1 + 1)), abs=1e-6)
    assert scores[2] == pytest.approx(np.log(9) + np.log((3 + 1) / (3 + 1)), abs=1e-6)
    assert scores[3] == pytest.approx(np.log(6) + np.log((0 + 1) / (2 + 1)), abs=1e-6)
    assert scores[4] == pytest.approx(np.log(1e-6), abs=1e-6)


def test_the_unknown_user_gets_everybodys_order() -> None:
    assert lists_by_segment([0]) == [
        (item, pytest.approx(np.log(n or 1e-6), abs=1e-6)) for item, n in ((2, 9), (3, 6), (1, 3), (4, 0))
    ]


def test_much_smoothing_is_everybodys_order() -> None:
    config = PopularityConfig(segment_smoothing=1e9)
    assert lists_by_segment([10], config) == [
        (item, pytest.approx(score, abs=1e-6)) for item, score in lists_by_segment([0], config)
    ]


def test_groups_of_a_column_with_too_many_are_not_told_apart() -> None:
    config = PopularityConfig(segment_smoothing=1, max_groups=1)
    assert lists_by_segment([10], config) == [(2, 9), (3, 6), (1, 3), (4, 0)]


def test_user_features_play_no_part_unless_asked() -> None:
    assert lists_by_segment([10], PopularityConfig()) == [(2, 9), (3, 6), (1, 3), (4, 0)]


def test_recent_watches_weigh_more_in_groups_too() -> None:
    pairs = [(1, 1), (2, 2), (3, 1), (4, 2), (5, 1), (5, 2)]
    history = watches(pairs, days=[7, 0, 7, 7, 7, 7])
    features = features_of_groups(history, np.array([0, 1, 1, 2, 2, 2], np.int32))
    model = Popularity(PopularityConfig(half_life_days=7, segment_smoothing=1)).fit(history, features, seed=0)
    found = model.retrieve(np.array([2], np.int32), features, top_k=9, exclude=SeenItems.nothing(5))
    # Item 2 has 2.5 of 5.5 weighted watches and 0.5 of the 1.5 of group 1.
    lift = np.log((0.5 + 1) / (1.5 * 2.5 / 5.5 + 1))
    assert found.score[found.item_num == 2].tolist() == [pytest.approx(np.log(2.5) + lift, abs=1e-6)]


def test_a_watch_counts_by_its_weight() -> None:
    history = watches([(1, 1), (2, 1), (3, 2), (1, 3)])
    history = replace(history, weight=np.array([0.5, 0.25, 2, 1], np.float32))
    assert list_for_unknown(history) == [(2, pytest.approx(1 + np.log(2))), (3, 1), (1, 0.75)]


def test_those_who_watch_much_count_less_for_each_watch() -> None:
    history = watches([(1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 3)])
    half = PopularityConfig(activity_damping=0.5)
    assert list_for_unknown(history, half) == [(4, 2.5), (3, 1.5), (1, 0.5), (2, 0.5)]
    one_vote = PopularityConfig(activity_damping=1)
    assert list_for_unknown(history, one_vote) == [(4, 2.25), (3, 1.25), (1, 0.25), (2, 0.25)]


def test_groups_in_blocks_give_what_one_user_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    history = watches(list(zip(generator.integers(1, 40, 300), generator.integers(1, 30, 300), strict=True)))
    features = features_of_groups(history, generator.integers(0, 4, len(history.users) + 1).astype(np.int32))
    model = Popularity(BY_SEGMENT).fit(history, features, seed=0)
    users = generator.integers(0, len(history.users) + 1, 60).astype(np.int32)

    def lists(of: np.ndarray) -> list[tuple[int, int, float]]:
        found = model.retrieve(of, features, top_k=5, exclude=history.seen_items)
        return list(zip(found.user_num.tolist(), found.item_num.tolist(), found.score.tolist(), strict=True))

    alone = [row for user in users for row in lists(np.array([user], np.int32))]
    assert lists(users) == alone
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 70)
    assert lists(users) == alone
    assert lists(np.zeros(0, np.int32)) == []


def test_a_longer_list_begins_as_a_shorter_one_and_orders_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belfry.retrieval.popularity.SHORTEST_ORDER", 1)
    monkeypatch.setattr("belfry.retrieval.popularity.MOST_PLACES_KEPT", 20)
    generator = np.random.default_rng(0)
    history = watches(list(zip(generator.integers(1, 40, 300), generator.integers(1, 30, 300), strict=True)))
    features = features_of_groups(history, generator.integers(0, 9, len(history.users) + 1).astype(np.int32))
    model = Popularity(BY_SEGMENT).fit(history, features, seed=0)
    users, nothing = np.arange(len(history.users) + 1, dtype=np.int32), SeenItems.nothing(len(history.users))

    def lists(top_k: int) -> list[list[int]]:
        found = model.retrieve(users, features, top_k=top_k, exclude=nothing)
        return [found.item_num[found.row_user == row].tolist() for row in range(len(users))]

    short, long = lists(3), lists(20)
    assert [items[:3] for items in long] == short == lists(3)
    assert sum(len(order.item_num) for order in model.learned.orders.values()) <= 20 + len(history.items)
    refitted = model.fit(history, features, seed=0)
    assert not refitted.learned.orders
