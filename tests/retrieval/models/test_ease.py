"""EASE: the promises, the limit, and recency."""

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions
from belfry.retrieval.models.ease import EASE, EASEConfig
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.retriever import TrainedRetrieverPromises


class TestEASEPromises(TrainedRetrieverPromises):
    answers_unknown = False  # no history, nothing to sum: popularity answers

    def unfitted(self) -> EASE:
        return EASE(EASEConfig(l2=1.0))


class TestEASEWithRecencyPromises(TestEASEPromises):
    def unfitted(self) -> EASE:
        return EASE(EASEConfig(l2=1.0, half_life=5))


def test_a_catalogue_above_the_limit_is_refused_in_words() -> None:
    board = checkerboard()
    with pytest.raises(InputError, match=r"ease: 12 items are above ease's max_items=10.*leave this source out"):
        EASE(EASEConfig(max_items=10)).fit(board.history, board.features, seed=0)


def test_recency_without_times_names_the_column() -> None:
    board = checkerboard()
    history = Interactions(board.history.users, board.history.items, board.history.user_num, board.history.item_num)
    with pytest.raises(InputError, match="timestamp_s"):
        EASE(EASEConfig(half_life=5)).fit(history, features_of(history), seed=0)


def test_with_recency_the_newest_watch_counts_most() -> None:
    board = checkerboard()
    even, recent = (
        EASE(EASEConfig(l2=1.0, half_life=half_life)).fit(board.history, board.features, seed=0)
        for half_life in (None, 1.0)
    )
    user = np.array([2], np.int32)
    newest = board.history.item_num[board.history.by_user.of(2)[-1]]
    weights = recent._fitted()
    found = recent.retrieve(user, board.features, top_k=12, exclude=board.history.seen_items)
    best = found.item_num[0]
    assert found.score[0] > 0
    assert weights[newest, best] != 0
    assert even.retrieve(user, board.features, top_k=1, exclude=board.history.seen_items).score[0] != found.score[0]
