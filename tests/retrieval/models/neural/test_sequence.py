"""Sequence towers on the checkerboard and on a cycle; fits are shared, for each compiles a graph."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.history.bags import history_windows
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums
from belfry.retrieval.config import SequenceConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.neural.sequence import SequenceTowers
from belfry.retrieval.onnx_towers import OnnxTowers
from belfry.retrieval.registry import KINDS
from tests.contracts.checkerboard import checkerboard
from tests.contracts.retriever import RetrieverPromises

TINY = SequenceConfig(
    embedding_size=8,
    max_length=6,
    n_blocks=1,
    dropout=0.5,
    batch_events=40,
    learning_rate=0.03,
    epochs=20,
    evaluations=20,
)
RECURRENT = TINY.model_copy(update={"encoder": "recurrent"})
WHOLE = {"context": True, "time": True, "late_share": 0.3}
WHOLE_ATTENTION, WHOLE_RECURRENT = TINY.model_copy(update=WHOLE), RECURRENT.model_copy(update=WHOLE)
IDS = ["attention", "recurrent", "plain"]
VARIANTS = pytest.mark.parametrize("config", [WHOLE_ATTENTION, WHOLE_RECURRENT, TINY], ids=IDS)
DAY_S = 86400


def all_items(history: Interactions) -> ItemNums:
    return np.arange(1, len(history.items) + 1, dtype=np.int32)


def with_columns(history: Interactions) -> FeatureTables:
    """User features that tell even from odd, and item features of every kind that do not."""
    users, items = (np.arange(len(side) + 1, dtype=np.int32) for side in (history.users, history.items))
    sides = np.where(users > 0, 1 + users % 2, 0).astype(np.int32)
    thirds = np.stack([items % 3, (items % 2) * (items % 3 > 0)], axis=1).astype(np.int32)
    logins = np.sin(users).astype(np.float32)
    return FeatureTables(
        history,
        FeatureColumns({"side": sides}, {"n_logins": logins}, {}, {"side": 3}, usage=frozenset({"n_logins"})),
        FeatureColumns({"studio": items % 4}, {"year": np.sin(items)}, {"genres": thirds}, {"studio": 4, "genres": 3}),
    )


@cache
def fitted(config: SequenceConfig) -> tuple[SequenceTowers, FeatureTables]:
    """On the checkerboard; with columns where they are read as context."""
    board = checkerboard()
    features = with_columns(board.history) if config.context else board.features
    return SequenceTowers(config).fit(features.history, features, seed=0), features


class TestAttentionPromises(RetrieverPromises):
    config = TINY

    @pytest.fixture
    def retriever(self) -> IndexedRetriever:
        towers, features = fitted(self.config)
        items = all_items(features.history)
        return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))


class TestRecurrentPromises(TestAttentionPromises):
    config = RECURRENT


@VARIANTS
def test_the_serving_form_gives_the_same_queries(config: SequenceConfig, tmp_path: Path) -> None:
    """Short and empty histories too, and the unknown user; in a table that holds later days than the fit's."""
    towers, features = fitted(config)
    history = features.history
    kept = history.select((history.user_num > 5) | (np.arange(len(history)) % 3 > 0) & (history.user_num != 4))
    assert kept.timestamp_s is not None
    later = FeatureTables(kept, features.users, features.items)
    towers.export(tmp_path, features)
    everything = np.arange(len(history.items) + 1, dtype=np.int32)
    served = KINDS["sequence"].load_towers(tmp_path, config, towers.encode_candidates(everything, features))
    assert isinstance(served, OnnxTowers)
    for users in (np.array([7, 0, 4, 3, 24], np.int32), np.array([4], np.int32), np.zeros(0, np.int32)):
        expected = towers.encode_queries(users, later)
        assert expected.shape == (len(users), 9)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(served.encode_queries(users, later), expected, atol=1e-5)


@VARIANTS
def test_a_user_alone_equals_their_row_in_a_batch(config: SequenceConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    towers, features = fitted(config)
    asked = np.array([5, 0, 24, 1, 5], np.int32)
    batch = towers.encode_queries(asked, features)
    monkeypatch.setattr("belfry.retrieval.models.neural.sequence._USERS_PER_BLOCK", 1)
    np.testing.assert_allclose(towers.encode_queries(asked, features), batch, atol=1e-5)
    assert not np.allclose(batch[0], batch[2], atol=1e-3)


@VARIANTS
def test_save_and_load_keep_embeddings(config: SequenceConfig, tmp_path: Path) -> None:
    towers, features = fitted(config)
    users = np.arange(25, dtype=np.int32)
    towers.save(tmp_path)
    loaded = SequenceTowers.load(tmp_path, features)
    np.testing.assert_array_equal(loaded.encode_queries(users, features), towers.encode_queries(users, features))


def asked_after(features: FeatureTables, days: int) -> FeatureTables:
    """The same tables, asked so much later: somebody else has watched something since."""
    history = features.history
    assert history.timestamp_s is not None
    times = history.timestamp_s.copy()
    times[history.user_num == len(history.users)] += days * DAY_S
    return FeatureTables(
        Interactions(history.users, history.items, history.user_num, history.item_num, times),
        features.users,
        features.items,
    )


@pytest.mark.parametrize(
    ("config", "changes"), [(WHOLE_ATTENTION, True), (WHOLE_RECURRENT, True), (TINY, False)], ids=IDS
)
def test_the_request_time_changes_queries_under_time_alone(config: SequenceConfig, changes: bool) -> None:
    towers, features = fitted(config)
    users = np.array([1, 2], np.int32)
    now, later = (towers.encode_queries(users, asked_after(features, days)) for days in (0, 100))
    assert (np.abs(now - later).max() > 1e-3) == changes
    np.testing.assert_array_equal(now[:, -1], later[:, -1])


def test_content_columns_tell_cold_users_apart_and_usage_columns_do_not() -> None:
    towers, features = fitted(WHOLE_ATTENTION)
    empty = features.history.select(features.history.user_num > 4)
    other_logins = {"n_logins": -features.users.numeric["n_logins"]}
    usage = FeatureColumns(features.users.categorical, other_logins, {}, features.users.sizes, features.users.usage)
    cold = np.array([1, 2, 3], np.int32)
    queries, again = (
        towers.encode_queries(cold, FeatureTables(empty, users, features.items)) for users in (features.users, usage)
    )
    np.testing.assert_allclose(queries[0], queries[2], atol=1e-6)
    assert not np.allclose(queries[0], queries[1], atol=1e-3)
    np.testing.assert_array_equal(queries, again)


def test_the_last_event_decides_what_comes_next() -> None:
    """All walk round one circle of items: what comes next is told by the last event alone."""
    n_users, n_items, n_steps = 30, 10, 5
    users, turns = np.meshgrid(np.arange(n_users), np.arange(n_steps), indexing="ij")
    table = pa.table(
        {
            "user_id": users.ravel(),
            "item_id": ((users + turns) % n_items).ravel(),
            "timestamp_s": turns.ravel() * DAY_S,
        }
    )
    history = Interactions.from_table(table)
    features = FeatureTables(history, FeatureColumns(), FeatureColumns())
    towers, items = SequenceTowers(TINY).fit(history, features, seed=0), all_items(history)
    retriever = IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))
    asked = np.arange(1, n_users + 1, dtype=np.int32)
    lists = retriever.retrieve(asked, features, top_k=1, exclude=history.seen_items)
    newest = history_windows(history, asked, length=1).item_num[:, 0]
    wanted = history.items.numbers(pa.array((history.items.take(newest).to_numpy() + 1) % n_items))
    assert (lists.item_num == wanted).mean() > 0.9


@pytest.mark.parametrize("encoder", ["attention", "recurrent"])
def test_sampled_candidates_learn_too(encoder: str) -> None:
    config = TINY.model_copy(update={"encoder": encoder, "n_candidates": 6, "n_sampled": 6, "max_windows": 1})
    towers, features = fitted(config)
    scores = (
        towers.encode_queries(np.array([1, 2], np.int32), features)
        @ towers.encode_candidates(all_items(features.history), features).T
    )
    sides = np.arange(1, 13) % 2
    assert scores[0, sides == 1].mean() > scores[0, sides == 0].mean()
    assert scores[1, sides == 0].mean() > scores[1, sides == 1].mean()


def test_a_refit_forgets_and_equals_a_fresh_fit() -> None:
    towers, features = fitted(TINY)
    other = checkerboard(n_users=10, n_items=8)
    again = SequenceTowers(TINY).fit(other.history, other.features, seed=3, epochs=1)
    again.fit(features.history, features, seed=0)
    users = np.arange(25, dtype=np.int32)
    np.testing.assert_array_equal(again.encode_queries(users, features), towers.encode_queries(users, features))


def test_a_history_without_times_is_refused() -> None:
    history = Interactions.from_table(checkerboard().history.to_table().drop_columns("timestamp_s"))
    features = FeatureTables(history, FeatureColumns(), FeatureColumns())
    with pytest.raises(InputError, match="interactions: no column 'timestamp_s', which the order of events is read"):
        SequenceTowers(TINY).fit(history, features, seed=0)


def test_rows_in_order_need_no_times() -> None:
    """The same towers as by times that say the same; what reads times asks for them."""
    board = checkerboard()
    rows = board.history.by_user.order
    timed = board.history.select(rows)
    ordered = replace(timed, timestamp_s=None, rows_in_order=True)
    queries = []
    for history in (timed, ordered):
        features = FeatureTables(history, FeatureColumns(), FeatureColumns())
        towers = SequenceTowers(TINY).fit(history, features, seed=0, epochs=2)
        queries.append(towers.encode_queries(board.users, features))
    np.testing.assert_array_equal(*queries)
    with pytest.raises(InputError, match=r"sequence: time needs a column 'timestamp_s'.*set time to false"):
        SequenceTowers(TINY.model_copy(update={"time": True})).fit(ordered, features, seed=0)


def test_histories_of_one_event_teach_nothing() -> None:
    history = Interactions.from_table(pa.table({"user_id": [1, 2], "item_id": [1, 2], "timestamp_s": [1, 2]}))
    features = FeatureTables(history, FeatureColumns(), FeatureColumns())
    with pytest.raises(InputError, match="no user has two events, so there is no next event to learn from"):
        SequenceTowers(TINY).fit(history, features, seed=0)


def test_reading_before_fit_is_refused() -> None:
    board = checkerboard()
    with pytest.raises(InputError, match=r"sequence: not fitted; call fit\(\) or load\(\) first"):
        SequenceTowers(TINY).encode_queries(board.users, board.features)


def test_a_diverging_loss_stops_training() -> None:
    board = checkerboard()
    with pytest.raises(
        DivergenceError, match=r"sequence: loss is .* in epoch \d+, step \d+.*; lower its learning_rate"
    ):
        SequenceTowers(TINY.model_copy(update={"learning_rate": 1e6})).fit(board.history, board.features, seed=0)


def test_heads_divide_the_embedding() -> None:
    with pytest.raises(ValidationError, match="n_heads=3 does not divide embedding_size=64"):
        SequenceConfig(n_heads=3)
