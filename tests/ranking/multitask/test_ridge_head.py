"""RidgeHead: the loss against leaving each label out by hand, and NumPy's predictions against TensorFlow's."""

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.layers.backend import keras, tf
from belfry.layers.steps.loop import Batch, Block
from belfry.ranking.multitask.category_lifts import CategoryLifts
from belfry.ranking.multitask.config import TaskConfig
from belfry.ranking.multitask.label_batches import LabelRows, label_column, labelled_batches
from belfry.ranking.multitask.network import MultitaskNetwork
from belfry.ranking.multitask.ridge_head import RidgeHead
from belfry.ranking.multitask.ridge_head_layer import LabelScale
from tests.ranking.multitask_world import RATING, TINY, pairs, world


def a_network(kind: str = "regression") -> tuple[MultitaskNetwork, TaskConfig]:
    keras.utils.set_random_seed(3)
    task = TaskConfig(column="liked" if kind == "binary" else "rating", kind=kind)
    features = world()
    if kind == "ordinal":
        features.history.rating[:] = np.rint(features.history.rating)
    network = MultitaskNetwork(
        features, TINY.model_copy(update={"tasks": (task,)}), [LabelScale.of(features.history, task)]
    )
    for weight in network.tasks[0].trainable_variables:
        weight.assign_add(0.3 * np.random.default_rng(1).normal(size=weight.shape))
    return network, task


def rows_of_one_step(block: Block) -> Batch:
    return {name: tf.nest.map_structure(tf.convert_to_tensor, stack.values) for name, stack in block.items()}


def test_the_loss_is_that_of_leaving_each_label_out() -> None:
    """Each target's loss by hand: its row taken out of the user's labels, the user factors solved again."""
    network, _ = a_network()
    features, layer = world(), network.tasks[0]
    batch = next(labelled_batches(features.history, TINY, np.random.default_rng(0)))
    step = network.label_tensors(rows_of_one_step(network.label_stacks([batch], features)))
    queries = np.random.default_rng(2).normal(size=(len(batch.users), TINY.embedding_size)).astype(np.float32)
    candidates = np.random.default_rng(3).normal(size=(len(step.labelled.ids), TINY.embedding_size)).astype(np.float32)
    loss, _ = layer(queries, candidates, step)

    place = step.place.numpy()
    embeddings = layer.candidate_scale(candidates)
    of_item = layer._items(embeddings, step.labelled).numpy()[place]
    affinity = np.einsum("ij,ikj->ik", queries, embeddings.numpy()[place])
    base = of_item[..., 0] + layer.count_slope.numpy() * step.log_count.numpy()
    base += layer.affinity_slope.numpy() * affinity + step.lifts.numpy() @ layer.lift_slopes.numpy()
    prior_mean = layer._prior_mean(queries, step).numpy()
    labels = (step.values[0].numpy() - layer.label_scale.centre) / layer.label_scale.scale
    squares = []
    for row, slot in np.argwhere(batch.is_target & batch.labels.is_labelled[0]):
        others = np.flatnonzero(batch.labels.is_labelled[0, row] & (np.arange(labels.shape[1]) != slot))
        item_factors = of_item[row, :, 1:]
        residual = labels[row] - base[row] - item_factors @ prior_mean[row]
        gram = item_factors[others].T @ item_factors[others] + TINY.user_precision * np.eye(TINY.n_factors + 1)
        correction = np.linalg.solve(gram, item_factors[others].T @ residual[others])
        squares.append((residual[slot] - item_factors[slot] @ correction) ** 2)
    assert len(squares) > 50
    assert float(loss) == pytest.approx(np.mean(squares), rel=1e-3)


@pytest.mark.parametrize("kind", ["regression", "ordinal", "binary"])
def test_a_prediction_stays_inside_the_labels(kind: str) -> None:
    network, task = a_network(kind)
    features = world()
    table = network.tables(features)[0]
    asked = pairs(np.repeat(np.arange(4, dtype=np.int32), 20), np.tile(np.arange(1, 21, dtype=np.int32), 4))
    observed = LabelRows.of(features.history, (task.column,), asked.users, max_length=100)
    queries = 50 * np.random.default_rng(0).normal(size=(4, TINY.embedding_size)).astype(np.float32)
    lifts = CategoryLifts(features, asked.users, network.category_shares.numpy())
    user_factors = table.user_factors(queries, asked.users, features, lifts, observed, 0)
    of_pairs = lifts(asked.row_user, asked.item_num, are_watched=False)
    predicted = table.predict(user_factors[asked.row_user], of_pairs, asked.item_num, task.kind)
    labels = label_column(features.history, task.column, slice(None))
    low, high = (np.rint(labels.min()), np.rint(labels.max())) if kind == "ordinal" else (labels.min(), labels.max())
    assert predicted.dtype == np.float32
    assert np.isfinite(predicted).all()
    assert predicted.min() >= low - 1e-5
    assert predicted.max() <= high + 1e-5


def test_an_expected_label_of_an_ordinal_task_by_hand() -> None:
    """Levels 1, 2, 5; at a latent of 0, half of the labels lie above 1, and a logistic of -2 above 2."""
    zero = np.zeros((), np.float32)
    table = RidgeHead(
        base=np.zeros(2, np.float32),
        item_factors=np.ones((2, 1), np.float32),
        embeddings=np.zeros((2, 1), np.float32),
        counts=np.zeros(2, np.float32),
        count_slope=zero,
        affinity_slope=zero,
        lift_slopes=np.zeros(0, np.float32),
        query_slopes=np.zeros((1, 1), np.float32),
        feature_slopes=np.zeros((0, 1), np.float32),
        activity_slopes=np.zeros(1, np.float32),
        prior=np.zeros(1, np.float32),
        precision=np.ones(1, np.float32),
        levels=np.array([1, 2, 5], np.float32),
        centre=zero,
        scale=zero,
        thresholds=np.array([0, 1], np.float32),
        steepness=np.array(2, np.float32),
    )
    nothing = np.zeros((1, 0), np.float32)
    predicted = table.predict(np.zeros((1, 2), np.float32), nothing, np.array([1], np.int32), "ordinal")
    above_two = 1 / (1 + np.exp(2))
    assert predicted.tolist() == pytest.approx([1 + 0.5 * 1 + 3 * above_two])
    deviation = table.deviation(np.zeros((1, 2), np.float32), nothing, np.array([1], np.int32), "ordinal")
    shares = np.array([0.5, 0.5 - above_two, above_two])
    mean_square = shares @ np.array([1, 2, 5]) ** 2
    assert deviation.tolist() == pytest.approx([np.sqrt(mean_square - predicted[0] ** 2)], rel=1e-5)
    unknown = table.deviation(np.zeros((1, 2), np.float32), nothing, np.array([1], np.int32), "regression")
    assert np.isnan(unknown).all()


def test_labels_of_a_user_move_predictions_towards_them() -> None:
    network, _ = a_network()
    features = world()
    table = network.tables(features)[0]
    user = np.array([7], np.int32)
    queries = np.zeros((1, TINY.embedding_size), np.float32)
    observed = LabelRows.of(features.history, ("rating",), user, max_length=100)
    without_labels = LabelRows(observed.item_num, observed.values, np.zeros_like(observed.is_labelled))
    items = observed.item_num[0]
    lifts = CategoryLifts(features, user, network.category_shares.numpy())
    of_pairs = lifts(np.zeros(len(items), np.int64), items, are_watched=True)
    errors = []
    for rows in (without_labels, observed):
        user_factors = table.user_factors(queries, user, features, lifts, rows, 0)
        predicted = table.predict(np.repeat(user_factors, len(items), axis=0), of_pairs, items, "regression")
        errors.append(np.abs(predicted - observed.values[0, 0]).mean())
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([np.nan] * 3, "regression", r"column 'rating' holds no value and a task needs two that differ; without it"),
        ([4, 4, 4], "regression", r"holds one value, 4, in 3 rows, and a task needs two"),
        ([np.nan, 4, np.nan], "regression", r"holds one value, 4, in 1 rows, .* train --preset default"),
        ([1, 2, 3], "binary", r"a binary task wants 0 and 1"),
        (np.arange(30) / 7, "ordinal", r"holds 30 values; an ordinal task takes 20 at most: make it a regression"),
    ],
)
def test_labels_that_teach_nothing_are_refused(values: list[float], kind: str, message: str) -> None:
    history = world().history.select(np.arange(len(values)))
    history.rating[:] = values
    with pytest.raises(InputError, match=message):
        LabelScale.of(history, RATING.model_copy(update={"kind": kind}))


def test_two_ratings_that_differ_are_enough() -> None:
    history = world().history.select(np.arange(3))
    history.rating[:] = [np.nan, 2, 5]
    assert LabelScale.of(history, RATING) == LabelScale(2, 3.5, 1.5, (2.0, 5.0))
