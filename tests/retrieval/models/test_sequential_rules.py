"""SequentialRules: items that came soon after those watched last."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import item_rarity
from belfry.retrieval.models.sequential_rules import SequentialRules, SequentialRulesConfig
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.retriever import TrainedRetrieverPromises


class TestSequentialRulesPromises(TrainedRetrieverPromises):
    """What a user liked is liked by the same users; times of the board follow the item numbers."""

    answers_unknown = False  # no history, no rule: popularity answers

    def unfitted(self) -> SequentialRules:
        return SequentialRules(SequentialRulesConfig())


def test_scores_are_recency_times_rules() -> None:
    """Users 1 and 2 watched 1, 2, 3 and 1, 2, 4; user 3 watched 2, then 1."""
    table = pa.table({"user_id": [1, 1, 1, 2, 2, 2, 3, 3], "item_id": [1, 2, 3, 1, 2, 4, 2, 1]})
    history = replace(Interactions.from_table(table), rows_in_order=True)
    features = features_of(history)
    config = SequentialRulesConfig(n_steps=2, backward=0.25, half_life=1)
    model = SequentialRules(config).fit(history, features, seed=0)
    found = model.retrieve(np.array([3], np.int32), features, top_k=9, exclude=history.seen_items)
    one, two, three, four = item_rarity(history)[1:]
    assert three == four
    newest, older = np.array([1, 0.5]) / np.sqrt(1.25)  # items 1 and 2
    expected = newest * one * three / np.sqrt(2) + older * two * three  # 3 is two steps from 1, one from 2
    assert found.item_num.tolist() == [3, 4]
    np.testing.assert_allclose(found.score, [expected, expected], rtol=1e-6)
    everything = model.retrieve(np.array([3], np.int32), features, top_k=9, exclude=SeenItems.nothing(3))
    score = dict(zip(everything.item_num.tolist(), everything.score, strict=True))
    # Of the seen ones: 2 came after 1 twice and before it once, which counts a quarter; and the other way round.
    assert score[2] == pytest.approx(newest * one * two * (2 + 0.25), rel=1e-6)
    assert score[1] == pytest.approx(older * one * two * (1 + 2 * 0.25), rel=1e-6)


def test_watches_without_order_are_refused() -> None:
    board = checkerboard()
    model = SequentialRules(SequentialRulesConfig())
    model.check(board.history, board.features)
    untimed = replace(board.history, timestamp_s=None)
    with pytest.raises(InputError, match="sequential_rules: needs a timestamp_s column in the interactions, or data"):
        model.check(untimed, features_of(untimed))
    in_order = replace(untimed, rows_in_order=True)
    model.check(in_order, features_of(in_order))
