import numpy as np
import pyarrow as pa
import pytest

from dataset.interactions import Interactions, SeenItems
from retrieval.popularity import Popularity, PopularityConfig
from tests.contracts.checkerboard import features_of
from tests.contracts.retriever import TrainedRetrieverPromises

DAY = 86_400


class TestPopularityPromises(TrainedRetrieverPromises):
    learns_checkerboard = False

    def unfitted(self) -> Popularity:
        return Popularity()


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
    model = Popularity(config).fit(history, features_of(history), seed=0)
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
    model = Popularity().fit(history, features_of(history), seed=0)
    candidates = model.retrieve(np.array([1, 2], np.int32), features_of(history), top_k=9, exclude=history.seen_items)
    assert candidates.user_num.tolist() == [2]
    assert candidates.item_num.tolist() == [1]


def test_many_blocks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    history = watches(list(zip(generator.integers(1, 40, 300), generator.integers(1, 30, 300), strict=True)))
    model = Popularity().fit(history, features_of(history), seed=0)
    users = np.arange(1, len(history.users) + 1, dtype=np.int32)
    whole = model.retrieve(users, features_of(history), top_k=5, exclude=history.seen_items)
    monkeypatch.setattr("retrieval.dense.CELLS_PER_BLOCK", 50)
    parts = model.retrieve(users, features_of(history), top_k=5, exclude=history.seen_items)
    assert whole.row_user.tolist() == parts.row_user.tolist()
    assert whole.item_num.tolist() == parts.item_num.tolist()
