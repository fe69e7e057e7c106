"""The default towers on the checkerboard; fits are shared, for each compiles a graph."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.history.bags import history_bags
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers
from belfry.retrieval.config import TwoTowerConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.two_tower import TwoTower
from tests.contracts.checkerboard import Checkerboard, checkerboard
from tests.contracts.retriever import RetrieverPromises

TINY = TwoTowerConfig(
    embedding_size=8, batch_users=10, history_dropout=0.1, dropout=0.1, learning_rate=0.05, epochs=20, evaluations=20
)
READS_ORDER = TINY.model_copy(update={"targets": "next"})


def all_items(history: Interactions) -> Numbers:
    return np.arange(1, len(history.items) + 1, dtype=np.int32)


def with_columns(board: Checkerboard) -> FeatureTables:
    """User features that tell even from odd, and item features of every kind that do not."""
    n_users, n_items = len(board.history.users), len(board.history.items)
    users, items = np.arange(n_users + 1, dtype=np.int32), np.arange(n_items + 1, dtype=np.int32)
    sides = np.where(users > 0, 1 + users % 2, 0).astype(np.int32)
    thirds = np.stack([items % 3, (items % 2) * (items % 3 > 0)], axis=1).astype(np.int32)
    return FeatureTables(
        board.history,
        FeatureColumns({"side": sides}, {"age": np.zeros(n_users + 1, np.float32)}, {}, {"side": 3}),
        FeatureColumns({"studio": items % 4}, {"year": np.sin(items)}, {"genres": thirds}, {"studio": 4, "genres": 3}),
    )


@pytest.fixture(scope="module")
def board() -> Checkerboard:
    return checkerboard()


@pytest.fixture(scope="module")
def features(board: Checkerboard) -> FeatureTables:
    return with_columns(board)


@pytest.fixture(scope="module")
def towers(features: FeatureTables) -> TwoTower:
    return TwoTower(READS_ORDER).fit(features.history, features, seed=0)


def assert_same_towers(one: TwoTower, other: TwoTower, features: FeatureTables) -> None:
    users, items = np.arange(25, dtype=np.int32), np.arange(13, dtype=np.int32)
    np.testing.assert_array_equal(one.encode_queries(users, features), other.encode_queries(users, features))
    np.testing.assert_array_equal(one.encode_candidates(items, features), other.encode_candidates(items, features))


@cache
def retriever_of_checkerboard(config: TwoTowerConfig) -> IndexedRetriever:
    board = checkerboard()
    towers, items = TwoTower(config).fit(board.history, board.features, seed=0), all_items(board.history)
    return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, board.features), items))


class TestTwoTowerPromises(RetrieverPromises):
    config = TINY

    @pytest.fixture
    def retriever(self) -> IndexedRetriever:
        return retriever_of_checkerboard(self.config)


class TestTwoTowerReadingOrderPromises(TestTwoTowerPromises):
    config = READS_ORDER


class TestSiamesePromises(TestTwoTowerPromises):
    config = TINY.model_copy(
        update={"shares_items": True, "similarity": "euclidean", "objective": "triplet", "n_negatives": 5}
    )


class TestDeepPromises(TestTwoTowerPromises):
    config = TINY.model_copy(
        update={
            "query_hidden": (16,),
            "candidate_hidden": (16, 12),
            "similarity": "cosine",
            "temperature": 0.2,
            "example_age": True,
            "targets": "next",
        }
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "binary"},
        {"objective": "bpr", "negatives": "popularity", "n_candidates": 8},
        {"objective": "hinge", "negatives": "uniform", "n_candidates": 8},
        {"negatives": "in_batch"},
        {"negatives": "mixed", "n_candidates": 8},
        {"negatives": "hard", "n_candidates": 9, "n_negatives": 4},
        {"item_start": "random"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_every_way_to_learn_finds_what_each_user_withheld(settings: dict[str, object]) -> None:
    board = checkerboard()
    config = TINY.model_copy(update={"epochs": 40, **settings})
    found = retriever_of_checkerboard(config).retrieve(
        board.users, board.features, top_k=1, exclude=board.history.seen_items
    )
    assert (found.item_num == board.withheld[found.user_num]).mean() > 0.9


def test_shapes_and_the_dimension_of_the_bias(towers: TwoTower, board: Checkerboard, features: FeatureTables) -> None:
    queries = towers.encode_queries(board.users, features)
    candidates = towers.encode_candidates(all_items(board.history), features)
    assert queries.shape == (24, 9)
    assert candidates.shape == (12, 9)
    assert queries.dtype == candidates.dtype == np.float32
    assert (queries[:, -1] == 1).all()
    assert np.ptp(candidates[:, -1]) > 0


def test_a_user_alone_equals_their_row_in_a_batch(
    towers: TwoTower, board: Checkerboard, features: FeatureTables
) -> None:
    asked = np.array([5, 0, 24, 1, 5], np.int32)
    batch = towers.encode_queries(asked, features)
    for row, user in enumerate(asked):
        alone = towers.encode_queries(np.array([user], np.int32), features)
        np.testing.assert_allclose(alone[0], batch[row], atol=1e-5)


def test_users_in_many_blocks(
    towers: TwoTower, board: Checkerboard, features: FeatureTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = towers.encode_queries(board.users, features)
    monkeypatch.setattr("belfry.layers.towers.network._USERS_PER_BLOCK", 7)
    np.testing.assert_allclose(towers.encode_queries(board.users, features), whole, atol=1e-5)


def test_a_user_without_a_history_is_answered_by_features(board: Checkerboard) -> None:
    """Users 3 and 4 lose their history; their side says what they like."""
    everything = with_columns(board)
    cold = np.array([3, 4], np.int32)
    history = board.history.select(~np.isin(board.history.user_num, cold))
    features = FeatureTables(history, everything.users, everything.items)
    towers = TwoTower(TINY.model_copy(update={"cold_share": 0.3})).fit(history, features, seed=0)
    scores = towers.encode_queries(cold, features) @ towers.encode_candidates(all_items(history), features).T
    for user, best in zip(cold, np.argsort(-scores, axis=1)[:, :4] + 1, strict=True):
        assert (best % 2 == user % 2).all()


def test_a_refit_forgets_and_equals_a_fresh_fit(towers: TwoTower, features: FeatureTables) -> None:
    other = checkerboard(n_users=10, n_items=8)
    refitted = TwoTower(READS_ORDER).fit(other.history, other.features, seed=3, epochs=1)
    refitted.fit(features.history, features, seed=0)
    assert_same_towers(refitted, towers, features)


def test_reading_before_fit_is_refused(board: Checkerboard, features: FeatureTables) -> None:
    with pytest.raises(InputError, match=r"two_tower: not fitted; call fit\(\) or load\(\) first"):
        TwoTower(TINY).encode_queries(board.users, features)


def test_save_and_load_keep_embeddings(towers: TwoTower, features: FeatureTables, tmp_path: Path) -> None:
    towers.save(tmp_path / "model")
    loaded = TwoTower.load(tmp_path / "model", features)
    assert loaded.config == towers.config
    assert_same_towers(loaded, towers, features)


def test_the_exported_query_tower_answers_alike(
    towers: TwoTower, board: Checkerboard, features: FeatureTables, tmp_path: Path
) -> None:
    """Histories of unequal length, padded with 0; the unknown user has none and is answered by features."""
    short = np.isin(np.arange(len(board.history)) % 3, [0, 1]) | (board.history.user_num > 5)
    later = FeatureTables(board.history.select(short), features.users, features.items)
    towers.export(tmp_path, features)
    session = onnxruntime.InferenceSession(tmp_path / "query_tower.onnx")
    for users in (np.array([7, 0, 2, 3], np.int32), np.array([2], np.int32), np.array([0], np.int32)):
        bags = history_bags(
            later.history, users, half_life=towers.config.half_life, max_length=towers.config.max_history
        )
        shape = (len(users), 1 + max(np.bincount(bags.row, minlength=1)))  # one slot of padding at least
        padded = {
            "history": np.zeros(shape, np.int32),
            "uniform": np.zeros(shape, np.float32),
            "recency": np.zeros(shape, np.float32),
        }
        for row in range(len(users)):
            inside = bags.row == row
            for name, values in (("history", bags.item_num), ("uniform", bags.uniform), ("recency", bags.recency)):
                padded[name][row, : inside.sum()] = values[inside]
        inputs = padded | later.users.inputs(users)
        names = [entry.name for entry in session.get_inputs()]
        assert set(names) <= set(inputs)
        (queries,) = session.run(["query"], {name: inputs[name] for name in names})
        np.testing.assert_allclose(queries, towers.encode_queries(users, later), atol=1e-5)


def recorded(scores: list[float], kept: list[np.ndarray], board: Checkerboard) -> Callable[[TwoTower], float]:
    """A validation whose verdicts are given; what it saw is appended to `kept`."""
    verdicts = iter(scores)

    def validate(towers: TwoTower) -> float:
        kept.append(towers.encode_queries(board.users, board.features))
        return next(verdicts)

    return validate


def test_early_stopping_keeps_the_best_weights(board: Checkerboard) -> None:
    config = TINY.model_copy(update={"patience": 2})
    kept: list[np.ndarray] = []
    verdicts = [0.0, 0.1, 0.7, 0.7, 0.2, 0.9]
    towers = TwoTower(config).fit(board.history, board.features, seed=0, validate=recorded(verdicts, kept, board))
    assert len(kept) == 5  # the start; two looks without a gain: the 0.9 is never seen
    assert towers.epochs_trained == 2
    np.testing.assert_array_equal(towers.encode_queries(board.users, board.features), kept[2])
    again = TwoTower(config).fit(board.history, board.features, seed=0, epochs=towers.epochs_trained)
    np.testing.assert_allclose(again.encode_queries(board.users, board.features), kept[2], atol=1e-6)


def test_a_start_that_training_does_not_better_is_kept(board: Checkerboard) -> None:
    kept: list[np.ndarray] = []
    towers = TwoTower(TINY).fit(
        board.history, board.features, seed=0, validate=recorded([0.5, 0.4, 0.3, 0.2, 0.1], kept, board)
    )
    assert towers.epochs_trained == 0
    again = TwoTower(TINY).fit(board.history, board.features, seed=0, epochs=0)
    for trained in (towers, again):
        np.testing.assert_array_equal(trained.encode_queries(board.users, board.features), kept[0])


def test_validation_is_looked_at_every_so_often_and_at_the_end(board: Checkerboard) -> None:
    kept: list[np.ndarray] = []
    done: list[tuple[int, int]] = []
    TwoTower(TINY.model_copy(update={"evaluations": 10})).fit(
        board.history,
        board.features,
        seed=0,
        validate=recorded([0.0, 0.1, 0.2, 0.3], kept, board),
        epochs=5,
        progress=lambda *step: done.append(step),
    )
    assert len(kept) == 4  # at the start, and after epochs 2, 4 and 5
    assert done == [(epoch, 5) for epoch in range(1, 6)]


def test_a_diverging_loss_stops_training(board: Checkerboard) -> None:
    config = TINY.model_copy(update={"learning_rate": 1e6})
    with pytest.raises(DivergenceError, match=r"two_tower: loss is .* in epoch \d, step \d.*; lower its learning_rate"):
        TwoTower(config).fit(board.history, board.features, seed=0)


def test_a_loss_that_is_not_finite_stops_training(board: Checkerboard) -> None:
    config = TINY.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(DivergenceError, match=r"loss is nan in epoch \d"):
        TwoTower(config).fit(board.history, board.features, seed=0)


def test_histories_of_one_event_teach_nothing() -> None:
    history = Interactions.from_table(pa.table({"user_id": [1, 2, 3], "item_id": [1, 2, 1]}))
    features = FeatureTables(history, FeatureColumns(), FeatureColumns())
    with pytest.raises(InputError, match="no user has two events, so no history can predict anything"):
        TwoTower(TINY).fit(history, features, seed=0)


def test_a_history_without_times_is_read_as_it_stands() -> None:
    board = checkerboard()
    table = board.history.to_table().drop_columns("timestamp_s")
    history = Interactions.from_table(table)
    features = FeatureTables(history, FeatureColumns(), FeatureColumns())
    towers = TwoTower(READS_ORDER).fit(history, features, seed=0, epochs=2)
    assert np.isfinite(towers.encode_queries(board.users, features)).all()


def test_an_item_that_nobody_has_watched_is_known_by_its_features() -> None:
    """Item 12 loses its watches; its side says who likes it. Item 11 keeps them, and says so by its id."""
    board = checkerboard()
    history = board.history.select(board.history.item_num != 12)
    sides = np.array([0, *(1 + np.arange(1, 13) % 2)], np.int32)
    features = FeatureTables(history, FeatureColumns(), FeatureColumns({"side": sides}, {}, {}, {"side": 3}))
    towers = TwoTower(TINY).fit(history, features, seed=0)
    vectors = towers.encode_candidates(np.array([0, 12, 11], np.int32), features)
    assert (vectors[1] != vectors[0]).any()
    score = towers.encode_queries(board.users, features) @ vectors[1]
    assert score[board.users % 2 == 0].min() > score[board.users % 2 == 1].max()


def test_an_item_of_which_nothing_is_known_comes_last() -> None:
    board = checkerboard()
    history = board.history.select(board.history.item_num != 12)
    features = FeatureTables(history, FeatureColumns(), FeatureColumns())
    towers = TwoTower(TINY).fit(history, features, seed=0)
    vectors = towers.encode_candidates(np.arange(13, dtype=np.int32), features)
    assert not vectors[12, :-1].any()
    assert vectors[12, -1] == vectors[1:12, -1].min()


def test_triplets_need_distances() -> None:
    with pytest.raises(ValueError, match="objective=triplet compares distances: set similarity to euclidean or cosine"):
        TwoTowerConfig(objective="triplet")
