from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pytest

from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare, title_numbers
from belfry.dataset.sources.open import read_data
from belfry.dataset.validation.check import check
from belfry.layers.backend import keras, tf, tfrs
from belfry.retrieval.config import ReportConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.neural.report import ReportTwoTower, _draw_negatives, _Towers
from benchmarks.report_preset import REFERENCE, SEEDS, Measured, measure, standard_errors
from tests.contracts.checkerboard import Checkerboard, checkerboard
from tests.contracts.retriever import RetrieverPromises

OBJECTIVES = ("softmax", "binary")


def small(objective: str = "softmax", **settings: object) -> ReportConfig:
    return ReportConfig(**{"objective": objective, "embedding_size": 8, "batch_size": 32, "epochs": 3} | settings)


@pytest.fixture(scope="module")
def board() -> Checkerboard:
    return checkerboard()


def all_items(board: Checkerboard) -> np.ndarray:
    return np.arange(len(board.history.items) + 1, dtype=np.int32)


def embeddings(model: ReportTwoTower, board: Checkerboard) -> tuple[np.ndarray, np.ndarray]:
    users = np.append(board.users, 0).astype(np.int32)
    return model.encode_queries(users, board.features), model.encode_candidates(all_items(board), board.features)


class TestReportPromises(RetrieverPromises):
    def fitted(self, history: Interactions, features: FeatureTables) -> IndexedRetriever:
        towers = ReportTwoTower(small(epochs=30, learning_rate=0.3)).fit(history, features, seed=0)
        items = np.arange(1, len(history.items) + 1, dtype=np.int32)
        return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_refit_equals_fresh_fit(board: Checkerboard, objective: str) -> None:
    other = checkerboard(n_users=10, n_items=8)
    fresh = ReportTwoTower(small(objective)).fit(board.history, board.features, seed=1)
    refitted = ReportTwoTower(small(objective)).fit(other.history, other.features, seed=0)
    refitted.fit(board.history, board.features, seed=1)
    for one, two in zip(embeddings(fresh, board), embeddings(refitted, board), strict=True):
        np.testing.assert_array_equal(one, two)
    assert fresh.epochs == refitted.epochs


def test_save_and_load_keep_embeddings(board: Checkerboard, tmp_path: Path) -> None:
    titles = np.minimum(all_items(board), 5)
    features = replace(board.features, titles=titles)
    model = ReportTwoTower(small()).fit(board.history, features, seed=0)
    model.save(tmp_path)
    loaded = ReportTwoTower.load(tmp_path, features)
    for one, two in zip(embeddings(model, board), embeddings(loaded, board), strict=True):
        np.testing.assert_array_equal(one, two)


def test_export_answers_as_the_tower_does(board: Checkerboard, tmp_path: Path) -> None:
    model = ReportTwoTower(small()).fit(board.history, board.features, seed=0)
    model.export(tmp_path, board.features)
    session = ort.InferenceSession(tmp_path / "query_tower.onnx")
    users = np.array([0, 3, 3, 1], np.int32)
    assert [given.name for given in session.get_inputs()] == ["user"]
    found = session.run(["query"], {"user": users})[0]
    np.testing.assert_array_equal(found, model.encode_queries(users, board.features))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_epochs_tell_how_training_went(board: Checkerboard, objective: str) -> None:
    told = []
    model = ReportTwoTower(small(objective, epochs=20))
    model.fit(board.history, board.features, seed=0, progress=lambda done, total: told.append((done, total)))
    assert [record.epoch for record in model.epochs] == list(range(1, 21))
    assert told[-1] == (20, 20)
    assert model.epochs[-1].loss < model.epochs[0].loss
    assert model.epochs[-1].top_5 > model.epochs[0].top_5
    assert model.epochs[-1].top_50 == 1  # of twelve titles


def test_accuracy_is_that_of_a_full_ranking(board: Checkerboard) -> None:
    model = ReportTwoTower(small()).fit(board.history, board.features, seed=0)
    queries, candidates = (
        model.encode_queries(board.history.user_num, board.features),
        model.encode_candidates(all_items(board), board.features),
    )
    scores = queries @ candidates[1:].T
    own = scores[np.arange(len(scores)), board.history.item_num - 1]
    rank = 1 + (scores > own[:, None]).sum(axis=1)
    accuracy = model.test_accuracy(board.history)
    assert accuracy.top_1 == pytest.approx((rank <= 1).mean())
    assert accuracy.top_5 == pytest.approx((rank <= 5).mean())
    assert accuracy.top_10 == pytest.approx((rank <= 10).mean())


def test_softmax_loss_is_that_of_the_report() -> None:
    """Titles and users come several times in a batch."""
    towers = _Towers(5, np.arange(8, dtype=np.int32), 4)
    generator = np.random.default_rng(0)
    users, watched = (generator.integers(1, n, 40).astype(np.int32) for n in (6, 8))
    found, slopes = [], []
    for loss in (
        towers.softmax_loss,
        lambda *rows: tfrs.tasks.Retrieval()(towers.users(rows[0]), towers.titles(rows[1]), compute_metrics=False),
    ):
        with tf.GradientTape() as tape:
            found.append(loss(users, watched))
        slopes.append([tf.convert_to_tensor(of) for of in tape.gradient(found[-1], towers.trainable_variables)])
    assert float(found[0]) == pytest.approx(float(found[1]), rel=1e-5)
    for one, other in zip(*slopes, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_binary_loss_is_the_equation_with_its_sign_corrected() -> None:
    keras.utils.set_random_seed(0)
    towers = _Towers(n_users=2, titles=np.arange(4, dtype=np.int32), embedding_size=4)
    users, titles = towers.users.embeddings.numpy() * 40, towers.titles.embeddings.numpy() * 40
    towers.users.embeddings.assign(users)
    towers.titles.embeddings.assign(titles)
    positives, negatives = [(1, 1), (2, 3)], [(1, 2), (2, 1), (2, 2)]
    expected = sum(np.log1p(np.exp(-users[user] @ titles[title])) for user, title in positives)
    expected += sum(np.log1p(np.exp(users[user] @ titles[title])) for user, title in negatives)
    found = towers.binary_loss(*np.array(positives, np.int32).T, *np.array(negatives, np.int32).T)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_negatives_are_uniform_over_unseen_titles() -> None:
    users = np.array([1, 1, 1, 2, 3, 3, 3, 3, 3], np.int32)
    watched = np.array([1, 2, 5, 5, 1, 2, 3, 4, 5], np.int32)
    seen = SeenItems.of_pairs(users, watched, 4)
    asked = np.array([1, 2, 3, 4], np.int32)
    drawn_for, drawn = _draw_negatives(asked, 20_000, seen, 5, np.random.default_rng(0))
    shares = np.array([np.bincount(drawn[drawn_for == user], minlength=6) / 20_000 for user in asked])
    unseen = np.array([[0, 0, 0, 1, 1, 0], [0, 1, 1, 1, 1, 0], [0] * 6, [0, 1, 1, 1, 1, 1]])
    expected = unseen / np.maximum(unseen.sum(axis=1, keepdims=True), 1)
    assert not shares[unseen == 0].any()  # the third user has seen everything
    np.testing.assert_allclose(shares, expected, atol=0.02)


def test_items_of_one_title_share_an_embedding(board: Checkerboard) -> None:
    titles = all_items(board)
    titles[12] = 1
    titles[titles > 12] = 0
    model = ReportTwoTower(small()).fit(board.history, replace(board.features, titles=titles), seed=0)
    _, candidates = embeddings(model, board)
    np.testing.assert_array_equal(candidates[1], candidates[12])
    assert model.learned.titles.count_params() == 12 * 8


def test_title_numbers() -> None:
    assert title_numbers(pa.array(["b", "a", None, "b", None])).tolist() == [0, 1, 2, 3, 1, 4]
    assert title_numbers(pa.nulls(3, pa.string())).tolist() == [0, 1, 2, 3]


def test_reading_before_fit_is_refused(board: Checkerboard) -> None:
    with pytest.raises(InputError, match=r"report: not fitted; call fit\(\) or load\(\) first"):
        ReportTwoTower(small()).encode_queries(board.users, board.features)


def test_divergence_is_named(board: Checkerboard) -> None:
    with pytest.raises(DivergenceError, match=r"loss is nan in epoch \d.*; lower its learning_rate"):
        ReportTwoTower(small(learning_rate=1e30)).fit(board.history, board.features, seed=0)


@pytest.fixture(scope="module")
def ml_100k() -> Data:
    return prepare(check(read_data("ml-100k"))[0])


@pytest.mark.realdata
def test_parameter_counts_are_those_of_the_report(ml_100k: Data) -> None:
    few = ml_100k.interactions.select(np.arange(1000))
    model = ReportTwoTower(ReportConfig(epochs=1)).fit(few, ml_100k.features(few), seed=0)
    assert model.learned.users.count_params() == 30_208
    assert model.learned.titles.count_params() == 53_280


@pytest.mark.realdata
@pytest.mark.slow
def test_lands_within_three_standard_errors_of_the_reference(ml_100k: Data) -> None:
    measured: list[Measured] = [measure(ml_100k, ReportConfig(), seed=seed) for seed in range(SEEDS)]
    for name in REFERENCE:
        assert abs(standard_errors(name, measured)) < 3, name
