import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import KINDS_OF_REPEATS, as_repeats, kept_out
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from tests.dataset.history.events import random_events


def test_other_items_are_all_but_the_seen_ones() -> None:
    history = random_events(n_items=20)
    users = np.array([2, 0, 5], np.int32)
    seen, others, nothing = (kept_out(history, one) for one in ("exclude", "only", "allow"))
    assert seen is history.seen_items
    assert nothing.count(users).tolist() == [0, 0, 0]
    assert nothing.remaining is seen.remaining is None
    n_items = len(history.items)
    assert (others.count(users) == n_items - seen.count(users)).all()
    assert (others.table(users, n_items) == ~seen.table(users, n_items)).all()
    row, item = others.rows_of(users)
    assert np.bincount(row, minlength=3).tolist() == others.count(users).tolist()
    assert not seen.contains(users[row], item).any()
    assert others.contains(users[row], item).all()
    items = np.arange(1, n_items + 1, dtype=np.int32)
    assert (others.of_user_contain(2, items) == others.table(users, n_items)[0, 1:]).all()
    assert others.remaining.of(2).tolist() == seen.of(2).tolist()


def test_what_was_disliked_is_kept_out_of_every_kind_of_list() -> None:
    """User 1 has seen items 1, 2 and 3, and disliked 2 and 4."""
    users, items = Vocabulary(pa.array([1, 2])), Vocabulary(pa.array([1, 2, 3, 4, 5]))
    watched = pa.table({"user_id": [1, 1, 1, 1], "item_id": [1, 2, 3, 1]})
    dislikes = pa.table({"user_id": [1, 1], "item_id": [2, 4], "timestamp_s": [7, 8]})
    history = Interactions.from_table(watched, users=users, items=items, dislikes=dislikes)
    asked, n_items = np.array([1, 2], np.int32), len(items)
    kept = {
        kind: [(np.flatnonzero(~row[1:]) + 1).tolist() for row in kept_out(history, kind).table(asked, n_items)]
        for kind in KINDS_OF_REPEATS
    }
    assert kept == {"exclude": [[5], [1, 2, 3, 4, 5]], "allow": [[1, 3, 5], [1, 2, 3, 4, 5]], "only": [[1, 3], []]}
    assert kept_out(history, "only").count(asked).tolist() == [3, 5]
    assert kept_out(history, "allow").was == "disliked"


def test_two_ways_to_say_what_lists_repeat() -> None:
    assert as_repeats(None, None) is None
    assert [as_repeats(exclude_seen, None) for exclude_seen in (True, False)] == ["exclude", "allow"]
    assert as_repeats(False, "only") == "only"
    assert as_repeats(True, "exclude") == "exclude"
    for exclude_seen, repeats in ((True, "allow"), (True, "only"), (False, "exclude")):
        with pytest.raises(InputError, match=f"exclude_seen={exclude_seen} contradicts repeats='{repeats}'"):
            as_repeats(exclude_seen, repeats)
    with pytest.raises(InputError, match="exclude_seen='no': wanted True or False"):
        as_repeats("no", None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="repeats='all': wanted 'exclude', 'allow' or 'only'"):
        as_repeats(None, "all")
