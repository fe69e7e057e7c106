"""Which items a step tells its targets from, and the stated chance of each to be there."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.layers.negatives import Negatives, NegativeSampler

N_ITEMS = 30
NOTHING = np.zeros(0, np.int32)


def history(*, impressions: list[int] | None = None) -> Interactions:
    """Item i is watched by the first 31 - i users; item 30 by nobody, though it is in the catalogue."""
    pairs = [(user, item) for item in range(1, N_ITEMS) for user in range(1, 32 - item)]
    table = pa.table({"user_id": [user for user, _ in pairs], "item_id": [item for _, item in pairs]})
    whole = Interactions.from_table(pa.concat_tables([table, pa.table({"user_id": [1], "item_id": [N_ITEMS]})]))
    watched = whole.select(np.arange(len(table)))
    if impressions is None:
        return watched
    rows = pa.table({"user_id": [1] * len(impressions), "item_id": impressions})
    return Interactions.from_table(watched.to_table(), users=whole.users, items=whole.items, impressions=rows)


@pytest.mark.parametrize("negatives", ["all", "hard"])
def test_a_catalogue_that_fits_is_taken_whole_without_unwatched_items(negatives: Negatives) -> None:
    sampler = NegativeSampler(history(), negatives, N_ITEMS - 1)
    found = sampler(np.array([3, 3], np.int32), NOTHING, np.random.default_rng(0))
    assert sampler.is_whole
    assert found.item_num.tolist() == list(range(1, N_ITEMS))
    assert found.is_negative.all()
    assert (found.log_q == 0).all()


def test_an_item_with_impressions_alone_is_a_candidate() -> None:
    events = history(impressions=[N_ITEMS])
    assert isinstance(events.impressions, SeenItems)
    found = NegativeSampler(events, "all", N_ITEMS)(NOTHING, NOTHING, np.random.default_rng(0))
    assert found.item_num.tolist() == list(range(1, N_ITEMS + 1))


def test_in_batch_negatives_are_the_targets_and_nothing_else() -> None:
    targets = np.array([7, 2, 7, 11], np.int32)
    found = NegativeSampler(history(), "in_batch", 20)(targets, NOTHING, np.random.default_rng(0))
    assert found.item_num.tolist() == [2, 7, 11]
    assert found.is_negative.all()


@pytest.mark.parametrize("negatives", ["uniform", "popularity"])
def test_targets_that_are_not_drawn_are_no_negatives_of_others(negatives: Negatives) -> None:
    generator = np.random.default_rng(0)
    sampler = NegativeSampler(history(), negatives, 6)
    n_spared = 0
    for _ in range(50):
        found = sampler(np.array([5, 9], np.int32), NOTHING, generator)
        assert {5, 9} <= set(found.item_num.tolist())
        assert found.is_negative[~np.isin(found.item_num, [5, 9])].all()
        n_spared += int((~found.is_negative).sum())
    assert n_spared > 0


@pytest.mark.parametrize("negatives", ["uniform", "popularity", "mixed"])
def test_many_targets_leave_room_for_draws(negatives: Negatives) -> None:
    """With 20 targets and room for 8, two items at least are drawn; 9 of 29 are no target."""
    targets = np.arange(1, 21, dtype=np.int32)
    generator, sampler = np.random.default_rng(0), NegativeSampler(history(), negatives, 8)
    others = [len(np.setdiff1d(sampler(targets, NOTHING, generator).item_num, targets)) for _ in range(500)]
    assert np.mean(others) > 0.4


def test_required_items_are_candidates_with_log_q_zero() -> None:
    found = NegativeSampler(history(), "mixed", 6)(
        np.array([5], np.int32), np.array([20, 20, N_ITEMS], np.int32), np.random.default_rng(0)
    )
    assert 20 in found.item_num
    assert found.log_q[found.item_num == 20] == 0
    assert N_ITEMS not in found.item_num  # nothing is known of it


@pytest.mark.parametrize("negatives", ["uniform", "popularity", "mixed", "in_batch"])
def test_log_q_is_the_log_of_how_often_an_item_is_a_candidate(negatives: Negatives) -> None:
    """Targets drawn as events are; head and tail alike."""
    events, generator = history(), np.random.default_rng(0)
    sampler = NegativeSampler(events, negatives, 12)
    n_steps, n_targets = 3000, 5
    n_present, stated = np.zeros(N_ITEMS + 1), np.zeros(N_ITEMS + 1)
    for _ in range(n_steps):
        targets = events.item_num[generator.integers(len(events), size=n_targets)]
        if negatives in ("uniform", "popularity"):
            targets = targets[
                :0
            ]  # a target is there for its own query alone, and its probability is that of the drawn items
        found = sampler(targets, NOTHING, generator)
        n_present[found.item_num] += 1
        stated[found.item_num] += np.exp(found.log_q)
    frequency = n_present[1:N_ITEMS] / n_steps
    # "mixed" draws fewer items where the targets are more: log_q varies, and is right on average.
    np.testing.assert_allclose(stated[1:N_ITEMS] / n_present[1:N_ITEMS], frequency, atol=0.04)


def test_popularity_draws_the_head_more_often_and_uniform_does_not() -> None:
    counts = {}
    for negatives in ("uniform", "popularity"):
        generator, total = np.random.default_rng(0), np.zeros(N_ITEMS + 1)
        sampler = NegativeSampler(history(), negatives, 4)
        for _ in range(500):
            total[sampler(NOTHING, NOTHING, generator).item_num] += 1
        counts[negatives] = total[1:4].sum() / total[20:23].sum()
    assert counts["popularity"] > 1.5
    assert 0.8 < counts["uniform"] < 1.25
