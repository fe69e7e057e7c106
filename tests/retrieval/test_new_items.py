"""New items: which count as new, which folds make new, and the offset by which they are watched as expected."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums, Vocabulary, as_arrow
from belfry.retrieval.base import Embeddings
from belfry.retrieval.new_items import NewItems, has_no_watch

N_USERS, N_ITEMS = 30, 100


def events(items: np.ndarray, n_items: int = N_ITEMS) -> Interactions:
    """Every user has watched each of `items`; ids are numbers."""
    return Interactions(
        Vocabulary(as_arrow(np.arange(N_USERS))),
        Vocabulary(as_arrow(np.arange(n_items))),
        np.repeat(np.arange(1, N_USERS + 1), len(items)).astype(np.int32),
        np.tile(items, N_USERS).astype(np.int32),
    )


def studios(n_items: int = N_ITEMS, *, without: int = 0) -> FeatureColumns:
    """Two of them; the last `without` items have none."""
    studio = (np.arange(n_items + 1) % 2 + 1).astype(np.int32)
    studio[0] = 0
    studio[len(studio) - without :] = 0
    return FeatureColumns(categorical={"studio": studio}, sizes={"studio": 3})


WATCHED = np.arange(1, 91)  # ten are new


def new_items(multiple: float = 1) -> NewItems:
    found = NewItems.of(events(WATCHED), studios(), multiple=multiple, seed=0)
    assert found
    return found


def test_without_unwatched_items_or_features_there_are_none() -> None:
    everything = events(np.arange(1, N_ITEMS + 1))
    assert NewItems.of(everything, studios(), multiple=1, seed=0) is None
    assert NewItems.of(events(WATCHED), FeatureColumns(), multiple=1, seed=0) is None
    assert NewItems.of(events(WATCHED), studios(without=10), multiple=1, seed=0) is None


def test_a_tenth_of_the_watched_items_at_most_count_as_new() -> None:
    assert np.flatnonzero(new_items().unwatched).tolist() == list(range(91, 101))
    assert np.count_nonzero(new_items().set_aside) == 9  # of 90
    few = NewItems.of(events(np.arange(1, 99)), studios(), multiple=1, seed=0)
    assert few
    assert np.flatnonzero(few.set_aside).tolist() == [99, 100]


def folds(n_vanished: int = 0) -> list[Fold]:
    """Two; the history of each lacks the first `n_vanished` items, which are held back."""
    return [Fold(events(WATCHED[n_vanished:]), events(WATCHED[: max(1, n_vanished)]))] * 2


def test_folds_lose_as_many_items_as_are_new_and_users_do_not_get_them_again() -> None:
    before = folds()
    after = list(new_items().hide(before))
    hidden = [np.flatnonzero(has_no_watch(fold.history))[1:-10] for fold in after]
    assert [len(one) for one in hidden] == [9, 9]
    assert hidden[0].tolist() != hidden[1].tolist()
    for old, new in zip(before, after, strict=True):
        assert new.later is old.later
        assert new.exclude.item_num.tolist() == old.exclude.item_num.tolist()
    again = list(new_items().hide(folds()))
    assert [fold.history.item_num.tolist() for fold in again] == [fold.history.item_num.tolist() for fold in after]


def test_hidden_items_are_spread_evenly_over_popularity() -> None:
    counts = np.append(0, np.append(WATCHED, np.zeros(10, np.int64)))
    hidden = new_items()._drawn(counts, 9, np.random.default_rng(0))
    assert (np.diff(np.sort(hidden)) == 10).all()


@pytest.mark.parametrize(("n_vanished", "n_hidden"), [(4, 5), (5, 0), (20, 0)])
def test_items_that_vanish_by_themselves_count_and_up_to_half_of_them_may_be_chance(
    n_vanished: int, n_hidden: int
) -> None:
    fold = next(new_items().hide(folds(n_vanished)))
    assert np.count_nonzero(has_no_watch(fold.history)) == 1 + 10 + n_vanished + n_hidden


def test_impressions_and_dislikes_of_hidden_items_go_too() -> None:
    history = events(WATCHED)
    shown = pa.table({"user_id": np.zeros(90, np.int64), "item_id": WATCHED - 1})
    pairs = type(history.seen_items).from_table(shown, history.users, history.items)
    fold = Fold(replace(history, impressions=pairs, dislikes=pairs), events(WATCHED[:1]))
    left = next(new_items().hide([fold])).history
    assert left.negatives is not None
    assert set(left.negatives.item_num) == set(left.item_num)


class EqualTowers:
    """Every item has the score 0."""

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        return np.ones((len(users), 1), np.float32)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        return np.zeros((len(items), 1), np.float32)


@pytest.mark.parametrize(("n_new", "n_known"), [(1, 1), (5, 5), (2, 8)])
def test_the_offset_makes_later_watches_of_new_items_as_many_as_expected(n_new: int, n_known: int) -> None:
    """80 known items have been seen, 10 have not; of 9 that count as new 0 can be watched, so items 81 to 85 vanish."""
    history, made = events(np.arange(1, 76)), new_items()
    later = events(np.concatenate([np.arange(76, 76 + n_new), np.arange(1, 1 + n_known)]))
    fold = Fold(history, later, excluded=events(np.arange(21, 76)).seen_items)
    tables, users = FeatureTables(history, FeatureColumns(), studios()), np.arange(1, 31, dtype=np.int32)
    offset = made.learn_offset(EqualTowers(), tables, fold, users)  # type: ignore[arg-type]
    n_places, n_others = 15 + 1, 20  # items 76 to 90, and the one that does not count as new
    odds = n_places * np.exp(offset) / n_others
    expected = len(later) * odds / (1 + odds)
    assert expected + offset == pytest.approx(30 * n_new, abs=1e-3)  # the prior adds the offset


def test_offsets_are_those_of_new_items_and_in_parts_the_set_aside_stay_out() -> None:
    made = new_items()
    whole = made.offsets(events(WATCHED), 1.5, is_whole=True)
    assert np.flatnonzero(whole).tolist() == list(range(91, 101))
    assert set(whole[91:]) == {1.5}
    part = made.offsets(events(WATCHED[5:]), 1.5, is_whole=False)
    assert set(part[1:6]) == {1.5}
    assert sorted(part[91:]) == [-10.0] * 9 + [1.5]


def test_a_multiple_is_of_the_odds_and_none_keeps_new_items_out() -> None:
    history = events(WATCHED)
    assert set(new_items(2).offsets(history, 1.5, is_whole=True)[91:]) == {np.float32(1.5 + np.log(2))}
    none = new_items(0)
    assert set(none.offsets(history, 1.5, is_whole=True)[91:]) == {-10.0}
    fold = folds()[0]
    assert len(next(none.hide([fold])).history) == len(fold.history)
