"""SessionCooccurrence: what others watched in one session with items of the history."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import largest_of_rows
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.neighbours.sessions import SessionCooccurrence
from tests.ranking.features.world import CONFIG, NOTHING, START_S, candidates_for, matrix_of


@pytest.fixture
def sessions() -> FeatureTables:
    """User 1: items 1, 2, 3 within a minute, item 4 later. User 2: items 1 and 2 within a minute. User 3: item 1."""
    table = pa.table(
        {
            "user_id": [1, 1, 1, 1, 2, 2, 3],
            "item_id": [1, 2, 3, 4, 2, 1, 1],
            "timestamp_s": [START_S + seconds for seconds in (0, 30, 60, 500, 900, 910, 5000)],
        }
    )
    return FeatureTables(Interactions.from_table(table), NOTHING, NOTHING)


def weights_of(features: FeatureTables, config: PairFeaturesConfig) -> np.ndarray:
    """[n_items + 1, n_items + 1]"""
    similarities = SessionCooccurrence.similarities(features, config)
    return largest_of_rows(similarities, SessionCooccurrence.n_neighbours(config)).toarray()


def test_weights_are_pairs_of_one_session_over_what_both_items_have(sessions: FeatureTables) -> None:
    """Pairs within 60 seconds: (1, 2) twice, (1, 3) and (2, 3) once; so items 1, 2, 3 have 3, 3 and 2."""
    expected = np.zeros((5, 5))
    expected[1, 2] = 2 / np.sqrt((3 + 5) * (3 + 5))
    expected[1, 3] = expected[2, 3] = 1 / np.sqrt((3 + 5) * (2 + 5))
    np.testing.assert_allclose(weights_of(sessions, CONFIG), expected + expected.T, rtol=1e-6)


def test_weights_of_many_sessions_equal_a_plain_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users with crowded and lonely moments, repeated items and equal times; in several blocks of items."""
    monkeypatch.setattr("belfry.dataset.similarity._SUMS_PER_BLOCK", 500)
    rng = np.random.default_rng(0)
    user, item = np.sort(rng.integers(1, 40, 4_000)), rng.integers(1, 60, 4_000)
    table = pa.table({"user_id": user, "item_id": item, "timestamp_s": START_S + rng.integers(0, 3_000, 4_000)})
    features = FeatureTables(Interactions.from_table(table), NOTHING, NOTHING)
    config = CONFIG.model_copy(update={"session_steps": 3, "session_neighbours": 1_000})
    history, pairs = features.history, np.zeros((len(features.history.items) + 1,) * 2)
    assert history.timestamp_s is not None
    order = history.by_user.order
    users, items, times = history.user_num[order], history.item_num[order], history.timestamp_s[order]
    for place in range(len(order)):
        for other in range(place + 1, min(place + 4, len(order))):
            if users[place] == users[other] and times[other] - times[place] <= config.session_gap_s:
                pairs[items[place], items[other]] += 1
                pairs[items[other], items[place]] += 1
    root = np.sqrt(pairs.sum(axis=0) + 5)
    expected = pairs / root / root[:, np.newaxis]
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(weights_of(features, config), expected, rtol=1e-5)


def test_nobody_is_no_session(sessions: FeatureTables) -> None:
    nothing = replace(sessions, history=sessions.history.select(np.zeros(len(sessions.history), np.bool_)))
    assert not weights_of(nothing, CONFIG).any()


def test_events_many_steps_apart_are_no_pair(sessions: FeatureTables) -> None:
    """One step: (1, 2) twice, (2, 3) once."""
    weights = weights_of(sessions, CONFIG.model_copy(update={"session_steps": 1}))
    assert np.argwhere(weights).tolist() == [[1, 2], [2, 1], [2, 3], [3, 2]]


def test_only_the_largest_weights_are_kept(sessions: FeatureTables) -> None:
    """Of equal ones, that of the lower item number."""
    weights = weights_of(sessions, CONFIG.model_copy(update={"session_neighbours": 1}))
    assert np.argwhere(weights).tolist() == [[1, 2], [2, 1], [3, 1]]


def test_columns_are_sums_over_the_history(sessions: FeatureTables) -> None:
    """Users 3 and 2 watched item 1 last, and user 2 item 2 before it, which is one of five to half its weight."""
    candidates = candidates_for(sessions, [3, 2], n=4)
    columns = matrix_of(sessions, candidates)
    weights, is_second = weights_of(sessions, CONFIG), candidates.row_user == 1
    for name, older in (("uniform", 1.0), ("recency", 0.5 ** (1 / 5))):
        expected = weights[1, candidates.item_num] + is_second * older * weights[2, candidates.item_num]
        np.testing.assert_allclose(columns[f"cooccurrence_{name}"], expected, rtol=1e-6, err_msg=name)


def test_without_times_or_with_a_gap_of_0_there_is_no_such_group(sessions: FeatureTables) -> None:
    untimed = replace(sessions, history=replace(sessions.history, timestamp_s=None))
    assert SessionCooccurrence.can_fit(sessions, CONFIG)
    assert not SessionCooccurrence.can_fit(untimed, CONFIG)
    assert not SessionCooccurrence.can_fit(sessions, CONFIG.model_copy(update={"session_gap_s": 0}))
