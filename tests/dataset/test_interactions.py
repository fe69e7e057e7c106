from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.history.bags import relative_rows, weighted_bag, weighted_rows
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary

TABLE = pa.table(
    {
        "user_id": ["bo", "al", "bo", "al", "bo", "cy"],
        "item_id": [20, 10, 10, 30, 20, 30],
        "rating": pa.array([4.0, None, 2.5, 5.0, None, None], pa.float32()),
        "timestamp_s": [50, 40, 50, 10, 30, 0],
    }
)


@pytest.fixture
def interactions():
    return Interactions.from_table(TABLE)


def test_table_comes_back(interactions):
    assert len(interactions) == 6
    assert interactions.to_table().equals(TABLE)


def test_two_columns_are_enough():
    table = TABLE.select(["user_id", "item_id"])
    interactions = Interactions.from_table(table)
    assert interactions.timestamp_s is None and interactions.rating is None
    assert interactions.to_table().equals(table)
    assert interactions.by_user.of(2).tolist() == [0, 2, 4]


def test_an_unrated_watch_is_nan(interactions):
    assert np.isnan(interactions.rating).tolist() == [False, True, False, False, True, True]


def test_ratings_that_are_all_missing_count_as_none(interactions):
    """In the table; a part of it that has none keeps the column."""
    unrated = TABLE.set_column(TABLE.column_names.index("rating"), "rating", pa.nulls(6, pa.float32()))
    assert Interactions.from_table(unrated).rating is None
    assert np.isnan(interactions.select(np.array([1, 4])).rating).all()


def test_given_vocabularies_are_used_even_when_empty():
    nobody = Vocabulary(pa.array([], pa.string()))
    interactions = Interactions.from_table(TABLE, users=nobody, items=Vocabulary(pa.array([10])))
    assert interactions.users is nobody
    assert interactions.user_num.tolist() == [0] * 6
    assert interactions.item_num.tolist() == [0, 1, 1, 0, 0, 0]
    assert interactions.matrix.nnz == 0


def test_the_weighted_matrix_counts_repeated_watches_and_weights():
    """w below 1 stays; from 1 on it is 1 + log(w)."""
    table = pa.table({"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 1, 1, 1, 2, 2]})
    plain = Interactions.from_table(table).weighted_matrix
    expected = [[0, 0, 0], [0, 1 + np.log(3), 0], [0, 1, 1 + np.log(2)]]
    np.testing.assert_allclose(plain.toarray(), expected, rtol=1e-6)
    assert plain.dtype == np.float32 and plain.has_canonical_format
    weight = pa.array([0.25, 0.25, 0.25, 4, 0.5, 2], pa.float32())
    weighed = Interactions.from_table(table.append_column("weight", weight)).weighted_matrix
    expected = [[0, 0, 0], [0, 0.75, 0], [0, 1 + np.log(4), 1 + np.log(2.5)]]
    np.testing.assert_allclose(weighed.toarray(), expected, rtol=1e-6)


def test_relative_weights_are_over_the_mean_of_each_user() -> None:
    table = pa.table({"user_id": [1, 1, 1, 2, 3, 3], "item_id": [1, 1, 2, 1, 1, 2]})
    weight = pa.array([1, 2, 1, 400, 0.5, 0.25], pa.float32())
    history = Interactions.from_table(table.append_column("weight", weight))
    first = 1 + np.log(3)
    mean = (first + 1) / 2
    expected = [[0, 0, 0], [0, first / mean, 1 / mean], [0, 1, 0], [0, 4 / 3, 2 / 3]]
    np.testing.assert_allclose(history.relative_matrix.toarray(), expected, rtol=1e-6)
    assert history.relative_matrix.dtype == np.float32
    assert history.damped_weight is not None
    np.testing.assert_allclose(history.damped_weight, [1, 1 + np.log(2), 1, 1 + np.log(400), 0.5, 0.25], rtol=1e-6)


def test_the_largest_weights_add_up_to_a_finite_one() -> None:
    table = pa.table({"user_id": [1, 1, 1, 2], "item_id": [1, 1, 2, 1], "weight": [3e38, 3e38, 1.0, 1.0]})
    history = Interactions.from_table(table)
    assert np.isfinite(history.relative_matrix.data).all()
    np.testing.assert_array_equal(weighted_bag(history, 1)[1], history.weighted_matrix[1].data)
    most = 1 + np.log(np.finfo(np.float32).max)
    np.testing.assert_allclose(history.weighted_matrix.data, [most, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("is_weighed", [False, True])
def test_rows_of_some_users_are_those_of_the_whole_matrix(is_weighed: bool) -> None:
    generator = np.random.default_rng(0)
    events = {"user_id": generator.integers(0, 30, 500), "item_id": generator.integers(0, 20, 500)}
    weight = {"weight": generator.integers(1, 9, 500).astype(np.float32)} if is_weighed else {}
    history = Interactions.from_table(pa.table(events | weight))
    users = np.array([3, 0, 30, 3, 1], np.int32)
    for rows, matrix in ((weighted_rows, history.weighted_matrix), (relative_rows, history.relative_matrix)):
        found = rows(history, users)
        assert found.has_canonical_format and found.dtype == np.float32
        np.testing.assert_array_equal(found.toarray(), matrix[users].toarray())


def test_single_watches_of_equal_weight_are_relative_to_nothing() -> None:
    history = Interactions.from_table(pa.table({"user_id": [1, 1, 2], "item_id": [1, 2, 1]}))
    assert history.relative_matrix is history.matrix and history.damped_weight is None


def test_the_weighted_matrix_of_single_watches_is_the_matrix(interactions):
    once = interactions.select(np.unique(interactions.user_num * 10 + interactions.item_num, return_index=True)[1])
    assert (once.weighted_matrix != once.matrix).nnz == 0
    stranger = Interactions.from_table(TABLE, users=Vocabulary(pa.array(["al"])), items=Vocabulary(pa.array([10])))
    assert stranger.weighted_matrix.toarray().tolist() == [[0, 0], [0, 1]]


def test_by_user_is_oldest_first_and_keeps_the_source_s_order_on_ties(interactions):
    rows = interactions.by_user
    assert [rows.of(user_num).tolist() for user_num in range(4)] == [[], [3, 1], [4, 0, 2], [5]]
    assert rows.starts.tolist() == [0, 0, 2, 5, 6]


def test_the_newest_rows_of_some_users_stand_one_user_s_after_another_s(interactions):
    by_user, users = interactions.by_user, np.array([2, 0, 1, 3, 2], np.int32)
    rows, counts = by_user.newest(users, 2)
    assert (rows.tolist(), counts.tolist()) == ([0, 2, 3, 1, 5, 0, 2], [2, 0, 2, 1, 2])
    rows, counts = by_user.newest(users)
    assert (rows.tolist(), counts.tolist()) == ([4, 0, 2, 3, 1, 5, 4, 0, 2], [3, 0, 2, 1, 3])


def test_rows_that_stand_by_user_are_not_moved(interactions, monkeypatch):
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 2)
    by_user = interactions.by_user
    ordered = interactions.select(by_user.order)
    assert by_user.moved is not None and ordered.by_user.moved is None
    assert ordered.by_user.order.tolist() == list(range(6))
    assert ordered.by_user.starts.tolist() == by_user.starts.tolist()
    assert ordered.by_user.at(np.array([4, 1])).tolist() == [4, 1]
    assert ordered.by_user.of(2).tolist() == [2, 3, 4]
    assert [ordered.select(np.roll(np.arange(6), n)).by_user.moved is None for n in range(3)] == [True, False, False]


@pytest.mark.parametrize("in_order", [False, True])
def test_events_that_stand_by_user_are_not_sorted_again(in_order, monkeypatch):
    table = pa.table({"user_id": [1, 1, 2, 2], "item_id": [3, 1, 2, 1], "timestamp_s": [5, 5, 1, 9]})
    events = replace(Interactions.from_table(table), rows_in_order=in_order)
    swapped = events.select(np.array([1, 0, 3, 2]))
    assert swapped.by_user.order.tolist() == ([0, 1, 2, 3] if in_order else [0, 1, 3, 2])
    monkeypatch.setattr(np, "lexsort", None)
    assert events.by_user.order.tolist() == [0, 1, 2, 3]
    assert events.by_user.starts.tolist() == [0, 0, 2, 4]


def test_select_keeps_the_vocabularies(interactions):
    by_positions = interactions.select(np.array([5, 0]))
    assert by_positions.users is interactions.users
    assert by_positions.to_table().equals(TABLE.take([5, 0]))
    assert interactions.select(interactions.user_num == 2).to_table().equals(TABLE.take([0, 2, 4]))


def test_matrix_counts_a_repeated_pair_once(interactions):
    assert interactions.matrix.toarray().tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 1]]
    assert interactions.item_counts.tolist() == [0, 2, 1, 2]


def test_rated_rows_hold_each_pair_once_with_its_newest_rating() -> None:
    table = pa.table(
        {
            "user_id": ["b", "a", "a", "a", "c"],
            "item_id": [1, 2, 1, 2, 1],
            "timestamp_s": [5, 9, 7, 8, 1],
            "rating": pa.array([3, 4, 5, 1, None], pa.float32()),
        }
    )
    assert Interactions.from_table(table).rated_rows.tolist() == [2, 1, 0]
    assert Interactions.from_table(table.drop_columns("rating")).rated_rows.tolist() == []


SHOWN = pa.table(
    {
        "user_id": ["bo", "al", "bo", "zoe", "bo", "al"],
        "item_id": [30, 20, 30, 10, 10, 99],
        "timestamp_s": [70, 80, 60, 1, 90, 2],
    }
)


def test_weights_are_kept_and_selected():
    table = TABLE.append_column("weight", pa.array([1, 2, 0.5, 1, 1, 3], pa.float32()))
    interactions = Interactions.from_table(table)
    assert interactions.weight.tolist() == [1, 2, 0.5, 1, 1, 3]
    assert interactions.to_table().equals(table)
    assert interactions.select(np.array([5, 2])).weight.tolist() == [3, 0.5]
    ones = TABLE.append_column("weight", pa.array([1.0] * 6, pa.float32()))
    assert Interactions.from_table(ones).weight is None


def test_impressions_are_kept_each_with_its_time():
    interactions = Interactions.from_table(TABLE, impressions=SHOWN)
    impressions = interactions.impressions
    assert [impressions.of(user_num).tolist() for user_num in range(4)] == [[], [2], [1, 3, 3], []]
    assert impressions.time_s.tolist() == [80, 90, 60, 70]
    assert impressions.user_num.tolist() == [1, 2, 2, 2]
    assert impressions.distinct.time_s.tolist() == [80, 90, 60]
    assert [interactions.seen_items.of(user_num).tolist() for user_num in range(4)] == [[], [1, 3], [1, 2], [3]]
    assert interactions.select(np.array([0])).impressions is impressions
    assert interactions.impressions.to_table(interactions.users, interactions.items).to_pydict() == {
        "user_id": ["al", "bo", "bo", "bo"],
        "item_id": [20, 10, 30, 30],
        "timestamp_s": [80, 90, 60, 70],
    }


def test_known_before_one_time_for_all_or_one_per_user():
    interactions = Interactions.from_table(TABLE, impressions=SHOWN)
    assert interactions.known_before(80).impressions.to_table(interactions.users, interactions.items).to_pydict() == {
        "user_id": ["bo", "bo"],
        "item_id": [30, 30],
        "timestamp_s": [60, 70],
    }
    each = interactions.known_before(np.array([0, 81, 60, 0])).impressions
    assert [each.of(user_num).tolist() for user_num in range(4)] == [[], [2], [], []]
    timeless = Interactions.from_table(TABLE, impressions=SHOWN.drop_columns("timestamp_s"))
    assert timeless.known_before(0).impressions is timeless.impressions
    assert timeless.impressions.to_table(timeless.users, timeless.items).column_names == ["user_id", "item_id"]


def test_impressions_of_two_tables_count_once_where_their_times_are_equal():
    first, second = (
        Interactions.from_table(TABLE, impressions=rows).impressions for rows in (SHOWN.slice(0, 3), SHOWN.slice(2))
    )
    both = first.followed_by(second)
    whole = Interactions.from_table(TABLE, impressions=SHOWN).impressions
    for name in ("starts", "item_num", "time_s"):
        assert getattr(both, name).tolist() == getattr(whole, name).tolist()
    timeless = [
        Interactions.from_table(TABLE, impressions=rows.drop_columns("timestamp_s")).impressions
        for rows in (SHOWN.slice(0, 3), SHOWN.slice(2))
    ]
    both = timeless[0].followed_by(timeless[1])
    assert both.time_s is None
    pairs = {*zip(both.user_num.tolist(), both.item_num.tolist(), strict=True)}
    assert pairs == {*zip(whole.user_num.tolist(), whole.item_num.tolist(), strict=True)}


def test_no_impressions_are_none():
    interactions = Interactions.from_table(TABLE, impressions=SHOWN.slice(0, 0))
    assert interactions.dislikes is None
    assert interactions.impressions is None
    assert interactions.known_before(5) is interactions


def test_dislikes_are_no_watches_and_in_no_list():
    dislikes = TABLE.select(["user_id", "item_id", "timestamp_s"]).slice(0, 2)
    watched = Interactions.from_table(TABLE.slice(2))
    interactions = Interactions.from_table(TABLE.slice(2), users=watched.users, items=watched.items, dislikes=dislikes)
    assert interactions.seen_items.item_num.tolist() == watched.seen_items.item_num.tolist()
    assert interactions.matrix.nnz == watched.matrix.nnz
    both = interactions.seen_or_disliked
    for pairs in (watched.seen_items, interactions.dislikes):
        assert both.contains(pairs.user_num, pairs.item_num).all()
    assert len(both.item_num) <= len(watched.seen_items.item_num) + len(interactions.dislikes.item_num)
    assert watched.seen_or_disliked is watched.seen_items
    assert interactions.select(np.arange(2)).dislikes is interactions.dislikes


def test_negatives_are_impressions_and_dislikes_each_once():
    ids = {"users": Vocabulary(pa.array([1, 2])), "items": Vocabulary(pa.array([1, 2, 3]))}
    shown = pa.table({"user_id": [1, 2, 1], "item_id": [2, 1, 2]})
    disliked = pa.table({"user_id": [1, 2, 9], "item_id": [2, 3, 1]})
    watched = pa.table({"user_id": [1], "item_id": [1]})
    interactions = Interactions.from_table(watched, **ids, impressions=shown, dislikes=disliked)
    assert interactions.negatives.to_table(**ids).to_pydict() == {"user_id": [1, 2, 2], "item_id": [2, 1, 3]}
    assert Interactions.from_table(watched, **ids).negatives is None
    assert Interactions.from_table(watched, **ids, impressions=shown).negatives.item_num.tolist() == [2, 1]
    assert Interactions.from_table(watched, **ids, dislikes=disliked).negatives.item_num.tolist() == [2, 3]


def test_dislikes_before_a_time_and_without_what_is_held_back():
    dislikes = pa.table({"user_id": TABLE["user_id"], "item_id": TABLE["item_id"], "timestamp_s": TABLE["timestamp_s"]})
    interactions = Interactions.from_table(TABLE, dislikes=dislikes)
    assert interactions.known_before(35).dislikes.time_s.max() < 35
    later = interactions.select(np.arange(2))
    kept = interactions.known_without(later).dislikes
    assert not kept.contains(later.user_num, later.item_num).any()
