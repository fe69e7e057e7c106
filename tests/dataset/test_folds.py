"""Holdouts: what stands in for the future is in no history, and is refused in words where there is too little."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.folds import (
    MAX_FIRST,
    MAX_LAST,
    Fold,
    Holdout,
    default_holdout,
    make_folds,
    sample_users,
    with_repeats,
)
from belfry.dataset.interactions import Interactions
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.pair_features import PairFeatures
from belfry.retrieval.popularity import Popularity, PopularityConfig

N_MANY = 1_000  # users, of whom 3% are enough for newcomers
HOLDOUTS: tuple[Holdout, ...] = ("time", "last", "random")
NO_COLUMNS = FeatureColumns()


def watches(n_users: int = 20, n_items: int = 30, n_events: int = 400, *, n_times: int = 300) -> Interactions:
    """Pairs once each, many events of equal time; the rating numbers the row."""
    generator = np.random.default_rng(0)
    cells = generator.permutation(n_users * n_items)[:n_events]
    table = {
        "user_id": cells // n_items,
        "item_id": cells % n_items,
        "timestamp_s": 1_000_000 + 3600 * generator.integers(0, n_times, n_events),
        "rating": np.arange(n_events, dtype=np.float32),
    }
    return Interactions.from_table(pa.table(table))


def rows(part: Interactions) -> list[int]:
    assert part.rating is not None
    return [int(number) for number in part.rating]


def times(part: Interactions) -> np.ndarray:
    assert part.timestamp_s is not None
    return part.timestamp_s


def folds_of(everything: Interactions, holdout: Holdout, *, n_folds: int = 4, seed: int = 0) -> list[Fold]:
    return list(make_folds(everything, holdout, n_folds=n_folds, seed=seed))


def test_the_default_goes_by_the_times() -> None:
    assert default_holdout(watches()) == "time"
    assert default_holdout(replace(watches(), timestamp_s=None)) == "random"


@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_history_and_later_share_no_event_and_no_pair(holdout: Holdout) -> None:
    for fold in folds_of(watches(), holdout):
        assert not set(rows(fold.history)) & set(rows(fold.later))
        assert not fold.history.seen_items.contains(fold.later.user_num, fold.later.item_num).any()
        assert len(fold.history) and len(fold.later)
        assert fold.history.users is fold.later.users
        assert len(fold.history.items) == 30


@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_held_back_events_change_nothing_that_is_learned(holdout: Holdout) -> None:
    """Other items and ratings in the events held back: the features of the history stay what they were."""
    everything = watches()
    for number, fold in enumerate(folds_of(everything, holdout)):
        is_history = np.isin(np.arange(len(everything)), rows(fold.history))
        assert everything.rating is not None
        other = replace(
            everything,
            item_num=np.where(is_history, everything.item_num, 31 - everything.item_num),
            rating=np.where(is_history, everything.rating, everything.rating + 1000),
        )
        again = folds_of(other, holdout)[number]
        candidates = Popularity(PopularityConfig()).fit(everything, tables_of(everything), seed=0)
        asked = np.unique(fold.later.user_num)
        lists = candidates.retrieve(asked, tables_of(everything), top_k=10, exclude=fold.history.seen_items)
        before, after = (
            PairFeatures.fit(tables_of(history), PairFeaturesConfig()).matrix(lists, tables_of(history))
            for history in (fold.history, again.history)
        )
        np.testing.assert_array_equal(before, after)
        assert fold.later.item_num.tolist() != again.later.item_num.tolist()


def tables_of(history: Interactions) -> FeatureTables:
    return FeatureTables(history, NO_COLUMNS, NO_COLUMNS)


def test_random_holds_every_event_back_once() -> None:
    everything = watches()
    folds = folds_of(everything, "random")
    assert len(folds) == 4
    assert sorted(row for fold in folds for row in rows(fold.later)) == list(range(400))
    assert all(len(fold.history) + len(fold.later) == 400 for fold in folds)


def test_random_goes_by_the_seed() -> None:
    first, again, other = (folds_of(watches(), "random", seed=seed)[0] for seed in (0, 0, 1))
    assert rows(first.later) == rows(again.later)
    assert len(set(rows(first.later)) & set(rows(other.later))) < 50  # 25 of 100 by chance


def test_random_needs_no_times() -> None:
    assert len(folds_of(replace(watches(), timestamp_s=None), "random")) == 4


def test_windows_lie_strictly_behind_their_history() -> None:
    folds = folds_of(watches(), "time")
    assert len(folds) == 4
    for fold in folds:
        assert times(fold.history).max() < times(fold.later).min()
    cuts = [times(fold.history).max() for fold in folds]
    assert cuts == sorted(cuts, reverse=True)  # newest first
    assert len(set(cuts)) == 4


def test_windows_hold_users_with_a_history_and_a_fifth_of_the_events_at_most() -> None:
    everything = watches()
    for fold in folds_of(everything, "time"):
        assert np.isin(fold.later.user_num, fold.history.user_num).all()
        within = (times(everything) > times(fold.history).max()) & (times(everything) <= times(fold.later).max())
        assert within.sum() <= 0.2 * 400 + 10  # events of equal time stay together


def test_the_newest_window_reaches_to_the_end() -> None:
    everything = watches()
    newest = folds_of(everything, "time")[0]
    assert times(newest.later).max() == times(everything).max()
    assert len(newest.history) == pytest.approx(360, abs=5)


def test_last_holds_back_the_newest_of_each_user() -> None:
    everything = watches()
    (fold,) = folds_of(everything, "last")
    for user in range(1, 21):
        newest = times(fold.history)[fold.history.user_num == user].max()
        later = times(fold.later)[fold.later.user_num == user]
        assert 1 <= len(later) <= MAX_LAST
        assert (later >= newest).all()


def test_equal_times_go_by_the_order_of_the_source() -> None:
    table = {"user_id": [1] * 6, "item_id": range(6), "timestamp_s": [9] * 6, "rating": np.arange(6.0)}
    (fold,) = folds_of(Interactions.from_table(pa.table(table)), "last")
    assert rows(fold.later) == [4, 5]


@pytest.mark.parametrize(("n_events", "n_last"), [(2, 1), (3, 1), (6, 2), (15, 5), (60, 5)])
def test_last_leaves_the_median_user_two_thirds(n_events: int, n_last: int) -> None:
    table = {"user_id": [1] * n_events, "item_id": range(n_events), "timestamp_s": range(n_events)}
    (fold,) = folds_of(Interactions.from_table(pa.table(table)), "last")
    assert len(fold.later) == n_last


@pytest.mark.parametrize("holdout", ["last", "time"])
def test_without_times_only_random_is_accepted(holdout: Holdout) -> None:
    with pytest.raises(InputError, match=rf"holdout '{holdout}' needs a timestamp_s column .*; use holdout random"):
        folds_of(replace(watches(), timestamp_s=None), holdout)


def test_time_without_a_clock_names_last() -> None:
    ordered = replace(watches(), timestamp_s=None, rows_in_order=True)
    with pytest.raises(InputError, match=r"holdout 'time' needs a timestamp_s column .*; use holdout last"):
        folds_of(ordered, "time")
    assert len(folds_of(ordered, "last")) == 1


@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_one_event_is_too_few(holdout: Holdout) -> None:
    with pytest.raises(InputError, match=r"too few events|both need some"):
        folds_of(watches().select(np.array([0])), holdout)


@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_users_of_one_event_each(holdout: Holdout) -> None:
    """Nobody has a history and something later: refused, or folds in which nobody can be asked."""
    table = {"user_id": range(8), "item_id": range(8), "timestamp_s": range(8)}
    try:
        folds = folds_of(Interactions.from_table(pa.table(table)), holdout)
    except InputError as error:
        assert "too few events to hold any back" in str(error) or "both need some" in str(error)
    else:
        assert holdout == "random"
        assert all(not np.isin(fold.later.user_num, fold.history.user_num).any() for fold in folds)


def test_all_at_one_time_cannot_be_cut() -> None:
    with pytest.raises(InputError, match="too few events to hold any back by holdout 'time'"):
        folds_of(watches(n_times=1), "time")


def test_a_random_fold_has_no_impressions_of_what_it_holds_back() -> None:
    """Logs with an impression for each watch: an impression without a watch would give away what was held back."""
    events = watches()
    table = events.to_table()
    never_watched = pa.table({"user_id": [0, 1], "item_id": [29, 29]})
    pairs = table.select(["user_id", "item_id"])
    impressions = pa.concat_tables([pairs, never_watched.cast(pairs.schema)])
    logged = Interactions.from_table(table, users=events.users, items=events.items, impressions=impressions)
    for fold in make_folds(logged, "random", n_folds=4, seed=0):
        assert fold.history.impressions is not None
        leaked = fold.history.impressions.contains(fold.later.user_num, fold.later.item_num)
        assert not leaked.any()
        assert fold.history.impressions.contains(fold.history.user_num, fold.history.item_num).all()


def with_impressions(events: Interactions, n: int = 600) -> Interactions:
    """Random pairs at random times, some of them twice, some watched."""
    generator = np.random.default_rng(1)
    users, items = (generator.integers(0, size, n) for size in (len(events.users), len(events.items)))
    shown = {"user_id": users, "item_id": items, "timestamp_s": 1_000_000 + 3600 * generator.integers(0, 300, n)}
    ids = {"users": events.users, "items": events.items}
    return Interactions.from_table(events.to_table(), **ids, impressions=pa.table(shown))


def test_what_was_shown_in_a_window_is_passed_over_in_it() -> None:
    events = with_impressions(watches())
    for fold in folds_of(events, "time"):
        assert fold.passed_over is not None and fold.passed_over.time_s is not None
        assert fold.history.impressions is not None and fold.history.impressions.time_s is not None
        assert fold.history.impressions.time_s.max() < times(fold.later).min()
        assert times(fold.later).min() - 3600 <= fold.passed_over.time_s.min()
        assert fold.passed_over.time_s.max() <= times(fold.later).max() + 3600


def test_what_was_shown_behind_the_last_event_that_stays_is_passed_over() -> None:
    events = with_impressions(watches())
    (fold,) = folds_of(events, "last")
    assert events.impressions is not None
    assert fold.passed_over is not None and fold.passed_over.time_s is not None
    assert fold.history.impressions is not None and fold.history.impressions.time_s is not None
    newest = np.zeros(len(events.users) + 1, np.int64)
    np.maximum.at(newest, fold.history.user_num, times(fold.history))
    assert (fold.history.impressions.time_s <= newest[fold.history.impressions.user_num]).all()
    assert (fold.passed_over.time_s > newest[fold.passed_over.user_num]).all()
    n_parts = len(fold.history.impressions.item_num), len(fold.passed_over.item_num)
    assert min(n_parts) > 0 and sum(n_parts) == len(events.impressions.item_num)


@pytest.mark.parametrize("holdout", ["random", "last"])
def test_without_times_each_fold_holds_a_part_of_what_was_passed_over_back(holdout: Holdout) -> None:
    events = with_impressions(watches())
    assert events.impressions is not None
    never_watched = events.impressions.without(events.seen_items).distinct
    timeless = replace(
        events, timestamp_s=None, rows_in_order=True, impressions=replace(events.impressions, time_s=None)
    )
    n_held_back = 0
    for fold in folds_of(timeless, holdout):
        assert fold.passed_over is not None and fold.history.impressions is not None
        assert not fold.history.impressions.contains(fold.later.user_num, fold.later.item_num).any()
        is_told = fold.history.impressions.contains(never_watched.user_num, never_watched.item_num)
        is_held_back = fold.passed_over.contains(never_watched.user_num, never_watched.item_num)
        assert (is_told != is_held_back).all()
        assert is_held_back.sum() == len(fold.passed_over.item_num)
        n_held_back += int(is_held_back.sum())
        assert 0.6 < is_told.mean() < 0.9
    assert holdout == "last" or n_held_back == len(never_watched.item_num)


def test_newcomers_know_no_impressions_of_what_comes_later() -> None:
    events = watches()
    late = np.isin(events.user_num, [1, 2, 3]) & (times(events) < 1_000_000 + 3600 * 165)
    events = with_impressions(events.select(~late))
    fold = folds_of(events, "time", n_folds=2, seed=1)[1]
    came = fold.newcomers
    assert came is not None
    assert came.history.impressions is fold.history.impressions


def test_users_of_a_fold_have_a_history_and_something_later() -> None:
    everything = watches()
    user = everything.user_num
    fold = Fold(
        everything.select((user != 3) & (user != 5)), everything.select((user == 1) | (user == 3) | (user == 7))
    )
    assert fold.users.tolist() == [1, 7]


def test_a_sample_is_drawn_by_its_seed_and_rises() -> None:
    users = np.arange(1, 101, dtype=np.int32)
    drawn = sample_users(users, 10, seed=0)
    assert len(drawn) == 10
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() == sample_users(users, 10, seed=0).tolist()
    assert sample_users(users, 100, seed=1).tolist() == users.tolist()
    assert sample_users(users, 1_000, seed=1).tolist() == users.tolist()


def test_folds_of_repeats_hold_back_what_users_come_back_to() -> None:
    everything = watches()
    again = everything.select(np.concatenate([np.arange(len(everything)), np.arange(0, len(everything), 3)]))
    made = folds_of(again, "random")
    assert [fold.exclude for fold in made] == [fold.history.seen_items for fold in made]
    for fold, allowed, only in zip(made, with_repeats(made, "allow"), with_repeats(made, "only"), strict=True):
        assert allowed.later is fold.later
        assert allowed.exclude.count(fold.users).sum() == 0
        assert 0 < len(only.later) < len(fold.later)
        assert only.history.seen_items.contains(only.later.user_num, only.later.item_num).all()
        assert not only.exclude.contains(only.later.user_num, only.later.item_num).any()


def test_repeats_of_an_order_without_a_clock_are_learned_from_but_for_the_disliked() -> None:
    """Each user's last third is held back; user 1 does not like item 5."""
    items = [5, 6, 7, 5, 6, 7, 5, 6, 8] + [6, 7, 8] * 3
    table = pa.table({"user_id": [1] * 9 + [2] * 9, "item_id": items})
    disliked = pa.table({"user_id": [1], "item_id": [5]})
    everything = replace(Interactions.from_table(table, dislikes=disliked), rows_in_order=True)
    [fold] = with_repeats(folds_of(everything, default_holdout(everything)), "only")
    held_back = [(user, everything.items.take(fold.later.item_num[fold.later.user_num == user])) for user in (1, 2)]
    assert {user: found.to_pylist() for user, found in held_back} == {1: [5, 6], 2: [6, 7, 8]}
    told_before = replace(fold, history=replace(fold.history, dislikes=everything.dislikes), later=fold.later)
    [without] = with_repeats([told_before], "only")
    assert everything.items.take(without.later.item_num[without.later.user_num == 1]).to_pylist() == [6]


def test_without_repeats_lists_of_them_cannot_be_learned() -> None:
    with pytest.raises(InputError, match="no event that is held back is of an item that its user had before"):
        list(with_repeats(folds_of(watches(), "random"), "only"))


class TestFirstWatches:
    """Users who come one after the other, each with 16 watches in a row; and one who is there all the time."""

    @pytest.fixture
    def coming(self) -> Interactions:
        n_users, n_each = 40, 16
        events = np.arange(n_users * n_each)
        table = {
            "user_id": np.where(events % n_each == 9, n_users, events // n_each),
            "item_id": np.where(events % n_each == 9, 100 + events // n_each, events % n_each + events // n_each % 5),
            "timestamp_s": 1_000_000 + 3600 * events,
            "rating": events.astype(np.float32),
        }
        return Interactions.from_table(pa.table(table))

    def test_newcomers_come_with_a_few_and_the_rest_is_held_back(self, coming: Interactions) -> None:
        lengths = set()
        for fold in folds_of(coming, "time"):
            came = fold.newcomers
            assert came is not None
            assert fold.later_share == 1
            first = came.history
            assert not set(first.user_num.tolist()) & set(fold.history.user_num.tolist())
            assert set(times(first).tolist()) == {times(fold.history).max()}
            window_end = times(fold.later).max()
            for user in np.unique(first.user_num):
                own = np.flatnonzero((coming.user_num == user) & (times(coming) <= window_end))
                n_first = int((first.user_num == user).sum())
                lengths.add(n_first)
                assert rows(first.select(first.user_num == user)) == own[:n_first].tolist()
                assert rows(came.later.select(came.later.user_num == user)) == own[n_first:].tolist()
        assert 1 in lengths
        assert max(lengths) <= MAX_FIRST
        assert len(lengths) > 3

    def test_the_same_seed_gives_the_same(self, coming: Interactions) -> None:
        one, again, other = (folds_of(coming, "time", seed=seed)[0].newcomers for seed in (0, 0, 1))
        assert one is not None and again is not None and other is not None
        assert rows(one.history) == rows(again.history)
        assert rows(one.history) != rows(other.history)

    @pytest.mark.parametrize("holdout", ["last", "random"])
    @pytest.mark.parametrize("has_times", [True, False])
    def test_where_nobody_comes_some_users_are_hidden(self, holdout: Holdout, has_times: bool) -> None:
        everything = watches(n_users=N_MANY, n_items=40, n_events=30 * N_MANY)
        if not has_times:
            everything = replace(everything, timestamp_s=None, rows_in_order=holdout == "last")
        hidden, lengths = set[int](), set[int]()
        for fold in folds_of(everything, holdout):
            came = fold.newcomers
            assert came is not None
            new = set(came.history.user_num.tolist())
            assert len(new) == int(0.03 * N_MANY)
            assert not new & hidden
            hidden |= new
            assert not new & set(np.concatenate([fold.history.user_num, fold.later.user_num]).tolist())
            for user in new:
                own = everything.select(everything.by_user.of(user))
                first, later = (part.select(part.user_num == user) for part in (came.history, came.later))
                assert sorted(rows(first) + rows(later)) == sorted(rows(own))
                lengths.add(len(first))
                if holdout == "last" or has_times:
                    assert rows(first) == rows(own)[: len(first)]
            if has_times:
                assert set(times(came.history).tolist()) == {times(fold.history).max()}
            assert fold.hidden is not None
            assert fold.hidden.users.tolist() == sorted(new)
            whole = rows(fold.hidden.history) + rows(fold.hidden.later)
            assert sorted(whole) == sorted(rows(came.history) + rows(came.later))
            n_later, n_history = len(fold.later), len(fold.history)
            assert fold.later_share == n_later / (n_later + n_history)
        assert min(lengths) >= 1 and max(lengths) <= MAX_FIRST

    def test_hidden_users_come_with_no_impressions(self) -> None:
        everything = with_impressions(watches(n_users=N_MANY, n_items=40, n_events=30 * N_MANY))
        fold = folds_of(everything, "last")[0]
        assert fold.newcomers is not None and fold.newcomers.history.impressions is not None
        assert fold.newcomers.history.impressions.count(fold.newcomers.users).sum() == 0

    @pytest.mark.parametrize("holdout", ["last", "random"])
    def test_nobody_is_hidden_where_many_have_few_watches(self, holdout: Holdout) -> None:
        everything = watches(n_users=N_MANY, n_items=40, n_events=12 * N_MANY)
        assert all(fold.newcomers is None for fold in folds_of(everything, holdout))

    def test_lists_with_repeats_know_none(self, coming: Interactions) -> None:
        [fold, *_] = with_repeats(folds_of(coming, "time"), "allow")
        assert fold.newcomers is None
