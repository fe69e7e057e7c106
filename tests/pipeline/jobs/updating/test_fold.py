"""What a history is once new events are behind it."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.event_weights import part_events
from belfry.dataset.interactions import Interactions
from belfry.dataset.validation.policy import Policy
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.jobs.updating.fold import Folded, fold
from belfry.pipeline.jobs.updating.numbering import Numbering

DAY_S, POLICY = 86_400, Policy()


def events(user_id: list[int], item_id: list[int], **columns: list[float]) -> pa.Table:
    return pa.table({"user_id": user_id, "item_id": item_id, **columns})


def folded(known: pa.Table, fresh: pa.Table, policy: Policy = POLICY, liked_from: float | None = None) -> Folded:
    parts = part_events(known, liked_from=liked_from)
    users, items = Vocabulary(known["user_id"]), Vocabulary(known["item_id"])
    pairs = {"impressions": parts.impressions, "dislikes": parts.dislikes}
    history = Interactions.from_table(parts.watches, users=users, items=items, **pairs)
    numbering = Numbering.of(history, fresh["user_id"], fresh["item_id"])
    came = part_events(fresh, liked_from=liked_from)
    return fold(numbering.history(history), came, numbering, policy, ())


def test_numbers_of_old_events_follow_their_ids():
    found = folded(events([2, 4, 4], [20, 20, 40]), events([3, 1], [30, 40]))
    assert found.history.to_table().to_pydict() == {"user_id": [2, 4, 4, 3, 1], "item_id": [20, 20, 40, 30, 40]}
    assert found.history.user_num.tolist() == [2, 4, 4, 3, 1]


def test_impressions_follow_those_of_a_run_that_has_some():
    watched = {"event": ["watched", "shown"], "timestamp_s": [DAY_S * 10, DAY_S * 10]}
    known = events([2, 2], [20, 40], **watched)
    fresh = events(
        [2, 3, 2, 3],
        [40, 30, 40, 20],
        event=["shown", "shown", "shown", "watched"],
        timestamp_s=[DAY_S * day for day in (10, 11, 11, 11)],
    )
    found = folded(known, fresh)
    assert (found.n_impressions, found.n_shown, found.n_changed) == (3, 2, 3)
    assert found.history.impressions is not None
    assert found.history.impressions.to_table(found.history.users, found.history.items).to_pydict() == {
        "user_id": [2, 2, 3],
        "item_id": [40, 40, 30],
        "timestamp_s": [DAY_S * 10, DAY_S * 11, DAY_S * 11],
    }
    without = folded(known.slice(0, 1), fresh)
    assert (without.history.impressions, without.n_impressions, without.n_shown) == (None, 3, 0)


def test_times_tell_events_of_one_pair_apart():
    known = events([1, 1, 2], [7, 7, 8], timestamp_s=[DAY_S * 10, DAY_S * 11, DAY_S * 12])
    fresh = events([1, 1, 2, 1], [7, 7, 8, 8], timestamp_s=[DAY_S * 11, DAY_S * 13, DAY_S * 12, DAY_S * 10])
    found = folded(known, fresh)
    assert (found.n_given, found.n_known, found.n_added, found.n_older) == (4, 2, 2, 1)
    assert found.history.timestamp_s is not None
    assert found.history.timestamp_s.tolist() == [DAY_S * day for day in (10, 11, 12, 13, 10)]


def test_weights_are_one_where_a_side_has_none():
    known, weighed = events([1, 2], [7, 8]), events([1, 2], [8, 7], weight=[3.0, 0.5])
    assert folded(known, weighed).history.weight.tolist() == [1, 1, 3, 0.5]
    assert folded(weighed, known).history.weight.tolist() == [3, 0.5, 1, 1]
    assert folded(known, events([1], [8])).history.weight is None


def test_ratings_that_are_missing_and_ratings_that_nobody_reads():
    rated = events([1, 2], [7, 8], rating=[5.0, 3.0])
    rating = folded(rated, events([1], [8])).history.rating
    np.testing.assert_array_equal(rating, [5, 3, np.nan])
    found = folded(events([1, 2], [7, 8]), events([1], [8], rating=[4.0]))
    assert (found.history.rating, found.unread) == (None, ("rating",))


def test_dislikes_of_both_are_kept_out():
    known = events([1, 2, 2], [7, 8, 9], rating=[5.0, 1.0, 4.0])
    found = folded(known, events([1, 3], [8, 9], rating=[1.0, 5.0]), liked_from=3.0)
    pairs = found.history.dislikes
    assert pairs is not None
    assert pairs.to_table(found.history.users, found.history.items).to_pydict() == {
        "user_id": [1, 2],
        "item_id": [8, 8],
    }


def test_a_wrong_clock_is_refused_left_out_or_believed():
    known = events([1] * 30, list(range(30)), timestamp_s=[DAY_S * (20_000 + day) for day in range(30)])
    known = pa.concat_tables([known, events([2], [3], timestamp_s=[DAY_S * 20_000])])
    far = events([2, 2], [4, 5], timestamp_s=[DAY_S * 20_031, DAY_S * 47_000])
    with pytest.raises(
        TableError, match=r"1 times lie far from all others \(such as 2098-09-06; the run's go from 2024"
    ):
        folded(known, far)
    assert folded(known, far, Policy(far_time="drop")).n_added == 1
    assert folded(known, far, Policy(far_time="keep")).n_added == 2


def test_where_repeats_are_kept_nothing_is_known():
    known = events([1, 2], [7, 8])
    found = folded(known, known, Policy(repeated_event="keep"))
    assert (found.n_known, found.n_added) == (0, 2)
