"""Items without a watch in a whole training: they get places, or none, and without them nothing is hidden."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.folds import Holdout, make_folds
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.tables import Tables
from belfry.pipeline.training.retrieval_stage import training_folds
from belfry.pipeline.training.train import Trained, train
from belfry.retrieval.new_items import has_no_watch
from tests.pipeline.small_world import config_of, small_data

NEW = np.array([3, 8, 20], np.int32)
PLAIN = ("ranker=none", 'sources=[{model={kind="popularity"}}]')


def without_three(data: Data) -> Data:
    return replace(data, interactions=data.interactions.without_items(NEW))


def with_new_items() -> Data:
    """Three of thirty items have no watch; in a fold none vanishes."""
    return without_three(small_data())


def trained(new_items: float) -> Trained:
    config = config_of("last", *PLAIN, f"new_items={new_items}")
    return train(with_new_items(), config, holdout="last", seed=0)


def n_new_listed(found: Trained) -> int:
    history = found.first.features.history
    nothing = np.zeros(0, np.int32)
    lists = found.two_stage.lists(
        np.unique(history.user_num), "retrieval", n=5, exclude=history.seen_items, blocked=nothing
    )
    return int(np.isin(lists.item_num, NEW).sum())


@pytest.fixture(scope="module")
def generous() -> Trained:
    return trained(50)


def test_new_items_get_places_by_what_folds_show(generous: Trained) -> None:
    assert list(generous.first.tuning.new_item_offsets) == ["two_tower", "popularity"]
    assert generous.first.tuning.new_item_offsets["two_tower"] != 0
    assert n_new_listed(generous) > 0


def test_at_0_they_get_none() -> None:
    assert n_new_listed(trained(0)) == 0


def everybody_has_watched_everything() -> Data:
    """40 users and 30 items with genres; what is held back of each user leaves every item to others."""
    generator = np.random.default_rng(0)
    pairs = [(user, item) for user in range(1, 41) for item in generator.permutation(30) + 1]
    watches = {"user_id": [user for user, _ in pairs], "item_id": [int(item) for _, item in pairs]}
    events = pa.table(watches | {"timestamp_s": 1_600_000_000 + 60 * np.arange(len(pairs))})
    items = pa.table({"item_id": np.arange(1, 31), "genre": [f"g{number % 3}" for number in range(30)]})
    return prepare(Tables(events, items))


ALL = everybody_has_watched_everything()


@pytest.mark.parametrize(
    ("holdout", "data", "n_hidden"),
    [("last", ALL, 0), ("last", without_three(ALL), 2), ("random", without_three(ALL), 0)],  # a tenth of 27
)
def test_folds_lose_items_only_in_time_and_where_there_are_new_ones(
    holdout: Holdout, data: Data, n_hidden: int
) -> None:
    config = config_of(holdout, *PLAIN)
    plain = make_folds(data.interactions, holdout, n_folds=config.folds, seed=0)
    for before, after in zip(plain, training_folds(data, config, holdout, seed=0), strict=True):
        n_without = np.count_nonzero(has_no_watch(after.history)) - np.count_nonzero(has_no_watch(before.history))
        assert n_without == n_hidden
        assert after.exclude.item_num.tolist() == before.exclude.item_num.tolist()


def test_lists_of_repeats_alone_have_no_place_for_them() -> None:
    config = config_of("random", *PLAIN, "repeats=only")
    assert not config.places_new_items
