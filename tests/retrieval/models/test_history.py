"""History: the promises, and what it counts."""

import numpy as np
import pyarrow as pa

from belfry.dataset.history.repeats import kept_out
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.retrieval.models.history import History, HistoryConfig
from tests.contracts.checkerboard import Checkerboard, features_of
from tests.contracts.retriever import TrainedRetrieverPromises


class TestHistoryPromises(TrainedRetrieverPromises):
    answers_unknown = False  # no history, nothing to come back to
    learns_checkerboard = False  # it proposes nothing new

    def unfitted(self) -> History:
        return History(HistoryConfig())

    def kept_out(self, board: Checkerboard) -> SeenItems:
        return board.history.seen_items.select(board.history.seen_items.item_num > 9)


def lists_of(history: Interactions, decay: float) -> list[int]:
    model = History(HistoryConfig(decay=decay)).fit(history, features_of(history), seed=0)
    users = np.ones(1, np.int32)
    found = model.retrieve(users, features_of(history), top_k=9, exclude=kept_out(history, "only"))
    return found.item_num.tolist()


def test_counts_then_recency() -> None:
    items = [1, 1, 1, 2, 2, 3]
    history = Interactions.from_table(pa.table({"user_id": [1] * 6, "item_id": items}))
    assert lists_of(history, 0) == [1, 2, 3]
    assert lists_of(history, 5) == [3, 2, 1]
    # With the default, ages 5, 4, 3 count 0.41 + 0.45 + 0.5, ages 2, 1 count 0.58 + 0.71, and age 0 counts 1.
    assert lists_of(history, 0.5) == [1, 2, 3]


def test_where_seen_items_are_kept_out_it_proposes_nothing() -> None:
    history = Interactions.from_table(pa.table({"user_id": [1, 2], "item_id": [1, 2]}))
    model = History(HistoryConfig()).fit(history, features_of(history), seed=0)
    users = np.array([0, 1, 2], np.int32)
    found = model.retrieve(users, features_of(history), top_k=9, exclude=history.seen_items)
    assert len(found) == 0
    assert found.users.tolist() == [0, 1, 2]
