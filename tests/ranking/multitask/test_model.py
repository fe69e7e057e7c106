"""The multitask model as towers and as a ranker, on the checkerboard and on a world whose ratings follow a plan."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.ranking.multitask.config import MultitaskConfig, TaskConfig
from belfry.ranking.multitask.model import MultitaskModel
from belfry.ranking.multitask.serving import OnnxMultitask
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.onnx_towers import OnnxTowers
from tests.contracts.checkerboard import checkerboard
from tests.contracts.retriever import RetrieverPromises
from tests.ranking.multitask_world import RATING, TINY, pairs, true_rating, unwatched, world

SHARINGS = {
    "bottom": TINY,
    "mmoe": TINY.model_copy(update={"sharing": "mmoe", "n_experts": 2, "balancing": "uncertainty"}),
    "ple": TINY.model_copy(update={"sharing": "ple", "n_levels": 2, "n_experts": 1, "balancing": "pcgrad"}),
}


@cache
def fitted(config: MultitaskConfig = TINY, n_silent: int = 0) -> tuple[MultitaskModel, FeatureTables]:
    features = world(n_silent=n_silent)
    return MultitaskModel(config).fit(features.history, features, seed=0), features


def error(model: MultitaskModel, features: FeatureTables, task: int = 0) -> float:
    """RMSE of the expected rating over the pairs that nobody watched."""
    asked = unwatched(features)
    truth = true_rating(asked.user_num, asked.item_num)
    return float(np.sqrt(((model.expected(asked, features)[:, task] - truth) ** 2).mean()))


class TestTowers(RetrieverPromises):
    def fitted(self, history: Interactions, features: FeatureTables) -> Any:
        model, rated = fitted_on_checkerboard()
        items = np.arange(1, len(history.items) + 1, dtype=np.int32)
        return IndexedRetriever(model, ExactIndex.build(model.encode_candidates(items, rated), items))


@cache
def fitted_on_checkerboard() -> tuple[MultitaskModel, FeatureTables]:
    features = checkerboard().features
    rating = (1 + features.history.item_num % 5).astype(np.float32)
    history = features.history
    rated = Interactions(history.users, history.items, history.user_num, history.item_num, None, rating)
    features = FeatureTables(rated, features.users, features.items)
    config = TINY.model_copy(update={"batch_users": 10, "learning_rate": 0.05, "epochs": 30})
    return MultitaskModel(config).fit(rated, features, seed=0), features


@pytest.mark.parametrize("sharing", SHARINGS)
def test_ratings_are_predicted_for_pairs_never_watched(sharing: str) -> None:
    model, features = fitted(SHARINGS[sharing])
    asked = unwatched(features)
    assert error(model, features) < 0.35 * true_rating(asked.user_num, asked.item_num).std()


def test_users_without_ratings_are_predicted_from_their_watches() -> None:
    """Users watch whatever their side, so a silent user is predicted by the items' means alone, and no worse."""
    model, features = fitted(n_silent=20)
    asked = unwatched(features)
    silent = pairs(asked.user_num[asked.user_num > 40], asked.item_num[asked.user_num > 40])
    expected = model.expected(silent, features)[:, 0]
    assert np.isfinite(expected).all()
    assert np.corrcoef(expected, np.sin(3 * silent.item_num))[0, 1] > 0.5


def test_one_score_per_row_in_row_order() -> None:
    model, features = fitted()
    asked = unwatched(features)
    scores = model.score(asked, features)
    assert (scores.shape, scores.dtype) == ((len(asked),), np.float32)
    assert np.isfinite(scores).all()
    alone = asked.select(asked.row_user == 3)
    np.testing.assert_allclose(model.score(alone, features), scores[asked.row_user == 3], atol=1e-4)
    nothing = model.score(asked.select(np.zeros(len(asked), np.bool_)), features)
    assert nothing.shape == (0,)


def test_the_utility_mixes_watch_and_rating() -> None:
    model, features = fitted()
    asked = unwatched(features)
    queries = model.encode_queries(asked.users, features)[asked.row_user]
    watch = (queries * model.encode_candidates(asked.item_num, features)).sum(axis=1) / TINY.temperature
    mixed = 0.5 * watch + 0.5 * model.expected(asked, features)[:, 0] / features.history.rating.std()
    assert RATING.utility == 0.5
    np.testing.assert_allclose(model.score(asked, features), mixed, atol=1e-4)


def test_the_unknown_user_and_the_unknown_item_have_scores() -> None:
    model, features = fitted()
    assert np.isfinite(model.score(pairs(np.array([0, 0], np.int32), np.array([1, 0], np.int32)), features)).all()


@pytest.mark.parametrize("sharing", SHARINGS)
def test_save_and_load_keep_scores(sharing: str, tmp_path: Path) -> None:
    model, features = fitted(SHARINGS[sharing])
    model.save(tmp_path / "model")
    loaded = MultitaskModel.load(tmp_path / "model", features)
    assert loaded.config == model.config
    asked = unwatched(features)
    np.testing.assert_array_equal(loaded.score(asked, features), model.score(asked, features))
    assert {path.suffix for path in (tmp_path / "model").iterdir()} <= {".json", ".npz"}


@pytest.mark.parametrize("sharing", SHARINGS)
def test_the_serving_form_gives_the_same_scores_and_queries(sharing: str, tmp_path: Path) -> None:
    model, features = fitted(SHARINGS[sharing])
    model.export(tmp_path, features)
    asked = unwatched(features)
    served = OnnxMultitask(tmp_path, model.config)
    np.testing.assert_allclose(served.expected(asked, features), model.expected(asked, features), atol=1e-4)
    items = np.arange(len(features.history.items) + 1, dtype=np.int32)
    vectors = model.encode_candidates(items, features)
    towers = OnnxTowers(tmp_path / "query_tower.onnx", vectors, half_life=TINY.half_life, max_history=TINY.max_history)
    np.testing.assert_allclose(
        towers.encode_queries(asked.users, features), model.encode_queries(asked.users, features), atol=1e-5
    )


def test_refit_equals_fresh_fit() -> None:
    model, features = fitted()
    other = world(n_users=30, n_items=12, seed=5)
    refitted = MultitaskModel(TINY).fit(other.history, other, seed=1).fit(features.history, features, seed=0)
    asked = unwatched(features)
    np.testing.assert_array_equal(refitted.score(asked, features), model.score(asked, features))
    assert refitted.epoch_logs == model.epoch_logs


def test_labels_after_watches_leave_the_towers_as_they_are() -> None:
    config = TINY.model_copy(update={"schedule": "sequential"})
    features = world()
    model = MultitaskModel(config).fit(features.history, features, seed=0)
    assert error(model, features) < 0.5
    assert len(model.epoch_logs) == 2 * TINY.epochs
    assert model.epochs_trained == TINY.epochs
    queries, expected = model.encode_queries(np.arange(5, dtype=np.int32), features), error(model, features)
    fewer = world(n_silent=50)
    model.fit_labels(fewer.history, fewer, seed=0)
    np.testing.assert_array_equal(model.encode_queries(np.arange(5, dtype=np.int32), features), queries)
    assert error(model, fewer) > expected
    model.fit_labels(features.history, features, seed=0)
    assert error(model, features) == pytest.approx(expected, abs=1e-6)


def test_finetuning_moves_the_towers_and_still_learns_the_labels() -> None:
    features = world()
    users = np.arange(5, dtype=np.int32)
    config = TINY.model_copy(update={"schedule": "sequential", "finetune_rate": 0.5})
    model = MultitaskModel(config).fit(features.history, features, seed=0)
    before = model.encode_queries(users, features)
    after = model.fit_labels(features.history, features, seed=1).encode_queries(users, features)
    assert np.abs(after - before).max() > 1e-3
    assert error(model, features) < 0.5


def test_labels_alone() -> None:
    model, features = fitted(TINY.model_copy(update={"watch_weight": 0.0}))
    assert model.epochs_trained == 0
    assert all(entry.losses[0] == 0 for entry in model.epoch_logs)
    assert error(model, features) < 0.5


def test_tasks_of_every_kind_together() -> None:
    liked, stars = TaskConfig(column="liked", kind="binary", utility=0.2), TaskConfig(column="stars", kind="ordinal")
    model, features = fitted(TINY.model_copy(update={"tasks": (RATING, liked, stars)}))
    asked = unwatched(features)
    expected = model.expected(asked, features)
    assert expected.shape == (len(asked), 3)
    assert error(model, features) < 0.5
    assert error(model, features, task=2) < 0.5
    assert ((expected[:, 1] >= 0) & (expected[:, 1] <= 1)).all()
    truth = true_rating(asked.user_num, asked.item_num)
    is_clear = np.abs(truth - 4) > 0.2
    assert ((expected[:, 1] > 0.5) == (truth >= 4))[is_clear].mean() > 0.9


def test_losses_and_gradients_are_logged_and_fall() -> None:
    model, _ = fitted_on_checkerboard()
    assert len(model.epoch_logs) == model.config.epochs
    first, last = model.epoch_logs[0], model.epoch_logs[-1]
    assert last.losses[0] < first.losses[0]
    assert last.losses[1] < first.losses[1]
    assert all(norm > 0 for norm in last.gradient_norms)


def test_early_stopping_keeps_the_best_evaluation() -> None:
    features = world()
    verdicts = iter([0.1, 0.5, 0.2, 0.2, 0.2, 0.2])
    kept: list[np.ndarray] = []

    def validate(model: MultitaskModel) -> float:
        kept.append(model.score(unwatched(features), features))
        return next(verdicts)

    model = MultitaskModel(TINY).fit(features.history, features, seed=0, validate=validate)
    assert model.epochs_trained == 6
    np.testing.assert_allclose(model.score(unwatched(features), features), kept[1], atol=1e-5)


def test_missing_labels_are_named() -> None:
    features = world(n_silent=60)
    with pytest.raises(InputError, match=r"column 'rating' holds no value .* watching is the one task left"):
        MultitaskModel(TINY).fit(features.history, features, seed=0)
    config = TINY.model_copy(update={"tasks": (TaskConfig(column="finished"),)})
    with pytest.raises(InputError, match="column 'finished' holds no value"):
        MultitaskModel(config).check(features.history, features)


def test_reading_before_fit_is_refused() -> None:
    features = world()
    with pytest.raises(InputError, match=r"multitask: not fitted; call fit\(\) or load\(\) first"):
        MultitaskModel(TINY).score(unwatched(features), features)


def test_divergence_says_to_lower_the_learning_rate() -> None:
    features = world()
    config = TINY.model_copy(update={"learning_rate": 1e6, "label_rate": 1e6})
    with pytest.raises(DivergenceError, match=r"multitask: loss is .* lower its learning_rate"):
        MultitaskModel(config).fit(features.history, features, seed=0)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ((RATING, RATING), "each is one task"),
        ((RATING, TaskConfig(column="liked", utility=0.6)), "utilities add up to 1.1"),
        ((), "at least 1 item"),
    ],
)
def test_tasks_that_do_not_fit_together(tasks: tuple[TaskConfig, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultitaskConfig(tasks=tasks)
