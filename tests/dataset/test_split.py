from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.dataset import split as splits
from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary

# Few users and times, so that short histories and ties come up all the time.
events = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), min_size=2, max_size=40)
seeds = st.integers(0, 2**32)


def interactions_of(events):
    """Events (user_id, timestamp_s); the item id is the row in the source."""
    return Interactions.from_table(
        pa.table(
            {
                "user_id": [user for user, _ in events],
                "item_id": list(range(len(events))),
                "timestamp_s": [time for _, time in events],
            }
        )
    )


def rows_of(side):
    """Rows of the source that fell on one side of a split."""
    return side.items.take(side.item_num).to_pylist()


def assert_partition(split, n_events):
    train, test = rows_of(split.train), rows_of(split.test)
    assert train and test
    assert train == sorted(train) and test == sorted(test)
    assert sorted(train + test) == list(range(n_events))
    assert split.train.users is split.test.users and split.train.items is split.test.items


@settings(deadline=None)
@given(events=events, seed=seeds)
def test_split_random_parts_all_rows(events, seed):
    interactions = interactions_of(events)
    split = splits.split_random(interactions, test_share=0.5, seed=seed)
    assert_partition(split, len(events))
    assert len(split.test) == round(len(events) / 2)
    assert rows_of(splits.split_random(interactions, test_share=0.5, seed=seed).test) == rows_of(split.test)


def test_split_random_depends_on_the_seed_and_needs_no_times():
    interactions = Interactions.from_table(pa.table({"user_id": [1, 2] * 50, "item_id": list(range(100))}))
    first, second = (rows_of(splits.split_random(interactions, seed=seed).test) for seed in (0, 1))
    assert len(first) == len(second) == 20
    assert len(set(first) & set(second)) < 10  # 4 by chance


@settings(deadline=None)
@given(events=events, n_last=st.integers(1, 3), min_history=st.integers(0, 2))
def test_split_last_out_holds_back_the_last_rows_of_each_user(events, n_last, min_history):
    wanted = []
    for user in {user for user, _ in events}:
        rows = [row for row, event in enumerate(events) if event[0] == user]
        rows.sort(key=lambda row: (events[row][1], row))
        if len(rows) >= n_last + min_history:
            wanted += rows[-n_last:]
    interactions = interactions_of(events)
    if not wanted or len(wanted) == len(events):
        with pytest.raises(InputError, match="both need some"):
            splits.split_last_out(interactions, n_last=n_last, min_history=min_history)
        return
    split = splits.split_last_out(interactions, n_last=n_last, min_history=min_history)
    assert_partition(split, len(events))
    assert rows_of(split.test) == sorted(wanted)


@settings(deadline=None)
@given(events=events, share=st.floats(0.01, 0.99))
def test_split_time_cuts_all_users_at_once(events, share):
    interactions = interactions_of(events)
    times = sorted(time for _, time in events)
    cut = times[min(round(len(times) * share), len(times) - 1)]
    if cut == times[0]:
        with pytest.raises(InputError, match="0 of"):
            splits.split_time(interactions, share=share)
        return
    split = splits.split_time(interactions, share=share)
    assert_partition(split, len(events))
    assert max(split.train.timestamp_s) < cut == min(split.test.timestamp_s)


def test_split_time_at_the_usual_share():
    split = splits.split_time(interactions_of([(1, time) for time in range(10)]))
    assert rows_of(split.test) == [8, 9]


@settings(deadline=None)
@given(events=events, n_folds=st.integers(2, 6), seed=seeds)
def test_folds_are_even_within_a_user(events, n_folds, seed):
    interactions = interactions_of(events)
    fold = splits.folds(interactions, n_folds=n_folds, seed=seed)
    assert fold.dtype == np.int8
    for user_num in range(1, len(interactions.users) + 1):
        counts = np.bincount(fold[interactions.user_num == user_num], minlength=n_folds)
        assert len(counts) == n_folds
        assert counts.max() - counts.min() <= 1


@settings(deadline=None)
@given(events=events, seed=seeds, data=st.data())
def test_folds_of_a_user_do_not_depend_on_where_others_rows_stand(events, seed, data):
    # A shuffle that keeps user 1's rows in their own order, everyone else's in any.
    order = data.draw(st.permutations(range(len(events))))
    places = sorted(order.index(row) for row, event in enumerate(events) if event[0] == 1)
    for place, row in zip(places, (row for row, event in enumerate(events) if event[0] == 1), strict=True):
        order[place] = row

    fold = splits.folds(interactions_of(events), n_folds=3, seed=seed)
    moved = splits.folds(interactions_of([events[row] for row in order]), n_folds=3, seed=seed)
    for place in places:
        assert moved[place] == fold[order[place]]


def test_folds_spread_users_of_one_row_over_all_folds():
    fold = splits.folds(interactions_of([(user, 0) for user in range(400)]), n_folds=4, seed=0)
    assert np.bincount(fold).min() > 70


def test_a_saved_split_holds_the_caller_s_tables(tmp_path):
    table = pa.table(
        {
            "user_id": ["a", "b", "a", "b"],
            "item_id": [4, 3, 2, 1],
            "rating": pa.array([None, 1.5, None, 5.0], pa.float32()),
            "timestamp_s": [1, 2, 3, 4],
        }
    )
    split = splits.split_last_out(Interactions.from_table(table))
    folder = tmp_path / "kept" / "last"
    splits.save_split(split, folder)

    assert [path.name for path in folder.parent.iterdir()] == ["last"]
    assert sorted(path.name for path in folder.iterdir()) == [splits.TEST_FILE, splits.TRAIN_FILE]
    assert pq.read_table(folder / splits.TRAIN_FILE).equals(split.train.to_table())
    assert pq.read_table(folder / splits.TEST_FILE).equals(split.test.to_table())

    with pytest.raises(InputError, match="exists already"):
        splits.save_split(split, folder)


def test_train_keeps_impressions_until_test_begins():
    table = pa.table({"user_id": ["a", "a", "b", "b"], "item_id": [1, 2, 1, 3], "timestamp_s": [10, 40, 20, 30]})
    impressions = pa.table({"user_id": ["a", "a", "b", "b"], "item_id": [3, 4, 4, 5], "timestamp_s": [35, 45, 25, 35]})
    interactions = Interactions.from_table(table, items=Vocabulary(pa.array(range(1, 6))), impressions=impressions)

    def known(split):
        return split.train.impressions.to_table(split.train.users, split.train.items).to_pydict()["item_id"]

    assert known(splits.split_time(interactions, share=0.5)) == [4]  # test begins at 30
    assert known(splits.split_last_out(interactions)) == [3, 4]  # at 40 for a, at 30 for b
    assert known(splits.split_random(interactions, test_share=0.5, seed=0)) == [3, 4, 4, 5]


def test_a_saved_split_keeps_weights_and_impressions(tmp_path):
    table = pa.table(
        {
            "user_id": ["a", "a", "b", "b"],
            "item_id": [1, 2, 1, 3],
            "timestamp_s": [10, 40, 20, 30],
            "weight": pa.array([1, 2, 0.5, 1], pa.float32()),
        }
    )
    impressions = pa.table({"user_id": ["a", "c"], "item_id": [9, 1], "timestamp_s": [5, 6]})
    ids = {"users": Vocabulary(pa.array(["a", "b", "c"])), "items": Vocabulary(pa.array([1, 2, 3, 9]))}
    split = splits.split_time(Interactions.from_table(table, **ids, impressions=impressions), share=0.5)
    splits.save_split(split, tmp_path / "split")
    saved = {path.name: pq.read_table(path) for path in (tmp_path / "split").iterdir()}
    assert saved[splits.TRAIN_FILE]["weight"].to_pylist() == [1, 0.5]
    assert saved[splits.TEST_FILE]["weight"].to_pylist() == [2, 1]
    assert saved[splits.IMPRESSIONS_FILE].equals(impressions)


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, float("nan")])
def test_refuses_a_share_that_is_none(share):
    interactions = interactions_of([(1, 0), (1, 1)])
    with pytest.raises(InputError, match=r"test_share=.* between 0 and 1"):
        splits.split_random(interactions, test_share=share, seed=0)
    with pytest.raises(InputError, match=r"share=.* between 0 and 1"):
        splits.split_time(interactions, share=share)


@pytest.mark.parametrize("name", ["split_time", "split_last_out"])
def test_refuses_to_order_without_times(name):
    interactions = Interactions.from_table(pa.table({"user_id": [1, 1], "item_id": [1, 2]}))
    with pytest.raises(InputError, match=rf"no column 'timestamp_s', which {name}\(\) needs"):
        getattr(splits, name)(interactions)


def test_rows_in_order_have_last_ones():
    events = replace(interactions_of([(2, 0), (1, 0), (2, 0), (1, 0)]), timestamp_s=None, rows_in_order=True)
    split = splits.split_last_out(events)
    assert split.test.items.take(split.test.item_num).to_pylist() == [2, 3]
    with pytest.raises(InputError, match="add it or split by last, for the events are in order"):
        splits.split_time(events)


def test_refuses_an_empty_side():
    with pytest.raises(InputError, match="2 of 2 interactions fall in train, 0 in test"):
        splits.split_random(interactions_of([(1, 0), (1, 1)]), test_share=0.1, seed=0)


def test_refuses_counts_out_of_range():
    interactions = interactions_of([(1, 0), (1, 1)])
    with pytest.raises(InputError, match="n_last=0"):
        splits.split_last_out(interactions, n_last=0)
    with pytest.raises(InputError, match="n_folds=1: use 2 to 127"):
        splits.folds(interactions, n_folds=1, seed=0)
