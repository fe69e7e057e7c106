"""RidgeHeadLayer: the weights of a task in training form; `ridge_head` has the formula of the prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.towers.item_encoder import ItemInputs
from belfry.layers.towers.ridge import FeatureMatrix
from belfry.ranking.multitask.config import MultitaskConfig, TaskConfig
from belfry.ranking.multitask.label_batches import label_column
from belfry.ranking.multitask.ridge_head import RidgeHead

MAX_LEVELS = 20
_MOMENTUM = 0.9  # of the running centre and scale of embeddings
_EPSILON = 1e-9  # keeps the scale finite while all embeddings are equal


@dataclass(frozen=True)
class LabelScale:
    """Number, mean, standard deviation and range of a task's labels."""

    n_labels: int
    centre: float
    scale: float
    levels: tuple[float, ...]  # all values of an ordinal or binary task, rising; lowest and highest of a regression

    @classmethod
    def of(cls, history: Interactions, task: TaskConfig) -> "LabelScale":
        """The scale of a column; InputError if it cannot be learned from, with the reason in the message."""
        values = label_column(history, task.column, slice(None))
        values = values[~np.isnan(values)]
        levels, column = np.unique(values), f"column {task.column!r}"
        if len(levels) < 2:
            found = "no value" if not len(levels) else f"one value, {levels[0]:g}, in {len(values)} rows,"
            raise InputError(
                f"interactions: {column} holds {found} and a task needs two that differ; without it watching is "
                "the one task left: train --preset default, name other tasks, or hand in labels"
            )
        if task.kind == "binary" and levels.tolist() != [0, 1]:
            raise InputError(f"interactions: {column} holds {levels[:3].tolist()} ...; a binary task wants 0 and 1")
        if task.kind == "ordinal" and len(levels) > MAX_LEVELS:
            raise InputError(
                f"interactions: {column} holds {len(levels)} values; an ordinal task takes {MAX_LEVELS} at most: "
                "make it a regression"
            )
        kept = levels[[0, -1]] if task.kind == "regression" else levels
        return cls(len(values), float(values.mean()), float(values.std()), tuple(map(float, kept)))


class LabelTensors(NamedTuple):
    """Inputs of a step on labelled events."""

    uniform: Tensor  # sparse [n_users, n_read]
    recency: Tensor  # sparse [n_users, n_read]
    read: ItemInputs
    labelled: ItemInputs  # the labelled items
    is_cold: Tensor  # [n_users, 1]
    user_columns: Mapping[str, Tensor]  # the content columns, [n_users, ...]
    user_features: Tensor  # sparse [n_users, n_features]
    activity: Tensor  # [n_users] `log_count` of the length of the history
    place: Tensor  # [n_users, length] of each label's item in `labelled`
    log_count: Tensor  # [n_users, length] `log_count` of the item's other watchers
    lifts: Tensor  # [n_users, length, n_columns] `CategoryLifts` of the item in the rest of the history
    values: Tensor  # [n_tasks, n_users, length]
    is_labelled: Tensor  # [n_tasks, n_users, length] float32
    is_target: Tensor  # [n_users, length] float32


class RunningScale(keras.layers.Layer):  # type: ignore[misc]
    """(embedding - centre) / root mean square length, by moving averages over the training steps.

    So a penalty on the weights that read embeddings does not depend on how long the watch task makes them.
    """

    def __init__(self, size: int, name: str) -> None:
        super().__init__(name=name)
        self.centre = self.add_weight(name=f"{name}/centre", shape=(size,), trainable=False, initializer="zeros")
        self.square = self.add_weight(name=f"{name}/square", shape=(), trainable=False, initializer="ones")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if training:
            fixed = tf.stop_gradient(inputs)
            centre = tf.reduce_mean(fixed, axis=0)
            square = tf.reduce_mean(tf.reduce_sum((fixed - centre) ** 2, axis=1))
            self.centre.assign(_MOMENTUM * self.centre + (1 - _MOMENTUM) * centre)
            self.square.assign(_MOMENTUM * self.square + (1 - _MOMENTUM) * square)
        return (inputs - self.centre) * tf.math.rsqrt(self.square + _EPSILON)


class RidgeHeadLayer(keras.layers.Layer):  # type: ignore[misc]
    """One task's weights, and the loss of a step: each label is predicted from the user's other labels."""

    def __init__(
        self, task: TaskConfig, number: int, config: MultitaskConfig, features: FeatureTables, scale: LabelScale
    ) -> None:
        """`number` is the position of the task among the columns of labels."""
        super().__init__(name=f"task_{number}")
        self.task, self.number, self.config, self.label_scale = task, number, config, scale
        n_items, size, n_factors = len(features.history.items) + 1, config.embedding_size, config.n_factors
        n_item_features, n_user_features = features.items.matrix.shape[1], features.users.matrix.shape[1]
        self.item_feature_scale, self.user_feature_scale = _scale(features.items.matrix), _scale(features.users.matrix)
        self.candidate_scale = RunningScale(size, "candidate_scale")
        self.query_scale = RunningScale(size, "query_scale")
        self.item_bias = self._weight("item_bias", n_items, 1)
        self.base_slopes = self._weight("base_slopes", size, 1)
        self.base_feature_slopes = self._weight("base_feature_slopes", n_item_features, 1)
        self.count_slope = self._weight("count_slope")
        self.affinity_slope = self._weight("affinity_slope")
        self.lift_slopes = self._weight("lift_slopes", len(features.items.category_sizes))
        self.item_factors = self._weight("item_factors", n_items, n_factors, spread=0.02)
        self.factor_slopes = self._weight("factor_slopes", size, n_factors, spread=0.2)
        self.factor_feature_slopes = self._weight("factor_feature_slopes", n_item_features, n_factors, spread=0.2)
        self.query_slopes = self._weight("query_slopes", size, n_factors + 1, spread=0.1)
        self.feature_slopes = self._weight("feature_slopes", n_user_features, n_factors + 1)
        self.activity_slopes = self._weight("activity_slopes", n_factors + 1)
        self.prior = self._weight("prior", n_factors + 1)
        if task.kind != "regression":
            self.log_steepness = self._weight("log_steepness")
            self.thresholds = self._weight("thresholds", len(scale.levels) - 1)
            middles = (np.array(scale.levels[1:]) + np.array(scale.levels[:-1])) / 2
            self.thresholds.assign(((middles - scale.centre) / scale.scale).astype(np.float32))
        self.built = True

    def query(self, queries: Tensor, training: bool = False) -> Tensor:
        """[n, embedding_size] q: the task's output of the query tower, scaled."""
        return self.query_scale(queries, training=training)

    def call(self, queries: Tensor, candidates: Tensor, step: LabelTensors) -> tuple[Tensor, Tensor]:
        """Two scalars: the mean loss over the targets, and the penalty per label.

        The loss of a label is that of predicting it from the user's other labels. The ridge regression need not be
        solved once for each: the leave-one-out error is e_i / (1 - h_i), with the error e of the regression on all
        labels of the user and the leverage h_i = x_i^T (X^T X + L)^-1 x_i.

        Args:
            queries: [n_users, embedding_size], the task's scaled output of the query tower.
            candidates: [n_labelled, embedding_size], the task's output of the candidate tower for the labelled items.

        Source: Allen, The relationship between variable selection and data augmentation (PRESS), 1974.
        """
        scale, is_labelled = self.label_scale, step.is_labelled[self.number]
        target = step.is_target * is_labelled
        embeddings = self.candidate_scale(candidates)
        of_item = tf.gather(self._items(embeddings, step.labelled), step.place)  # [n_users, length, n_factors + 2]
        affinity = tf.gather(tf.matmul(queries, embeddings, transpose_b=True), step.place, batch_dims=1)
        base = of_item[..., 0] + self.count_slope * step.log_count + self.affinity_slope * affinity
        base += tf.linalg.matvec(step.lifts, self.lift_slopes)
        item_factors = of_item[..., 1:]
        prior_mean = self._prior_mean(queries, step)
        labels = (step.values[self.number] - scale.centre) / scale.scale
        residual = labels - base - tf.linalg.matvec(item_factors, prior_mean)
        known = item_factors * is_labelled[..., tf.newaxis]  # X of each user
        gram = tf.matmul(known, known, transpose_a=True) + tf.linalg.diag(self._precision())
        solved = tf.linalg.matrix_transpose(tf.linalg.solve(gram, tf.linalg.matrix_transpose(known)))
        leverage = tf.reduce_sum(known * solved, axis=-1)
        correction = tf.linalg.matvec(known, residual, transpose_a=True)  # [n_users, n_factors + 1]
        error = (residual - tf.linalg.matvec(solved, correction)) / (1 - leverage)
        losses = self._label_losses(labels, labels - error, step.values[self.number])
        n_targets = tf.maximum(tf.reduce_sum(target), 1.0)
        return tf.reduce_sum(target * losses) / n_targets, self._penalty() / scale.n_labels

    def table(self, candidates: Tensor, items: ItemInputs, counts: np.ndarray) -> RidgeHead:
        """The task in its serving form; `candidates` [n_items + 1, embedding_size] of all items, the unknown first."""
        embeddings, kind, scale = self.candidate_scale(candidates), self.task.kind, self.label_scale
        of_item = self._items(embeddings, items).numpy()
        return RidgeHead(
            base=of_item[:, 0],
            item_factors=of_item[:, 1:],
            embeddings=embeddings.numpy(),
            counts=counts.astype(np.float32),
            count_slope=self.count_slope.numpy(),
            affinity_slope=self.affinity_slope.numpy(),
            lift_slopes=self.lift_slopes.numpy(),
            query_slopes=self.query_slopes.numpy(),
            feature_slopes=self.feature_slopes.numpy() * self.user_feature_scale,
            activity_slopes=self.activity_slopes.numpy(),
            prior=self.prior.numpy(),
            precision=self._precision().numpy(),
            levels=np.array(scale.levels, np.float32),
            centre=np.array(scale.centre, np.float32),
            scale=np.array(scale.scale, np.float32),
            thresholds=np.zeros(0, np.float32) if kind == "regression" else self.thresholds.numpy(),
            steepness=np.array(1 if kind == "regression" else np.exp(self.log_steepness.numpy()), np.float32),
        )

    def _items(self, embeddings: Tensor, items: ItemInputs) -> Tensor:
        """[n_items, n_factors + 2] base_i and x_i = [1, item factors]."""
        bias, own = tf.gather(self.item_bias, items.ids), tf.gather(self.item_factors, items.ids)
        base = tf.matmul(embeddings, self.base_slopes) + bias
        item_factors = tf.matmul(embeddings, self.factor_slopes) + own
        if self.base_feature_slopes.shape[0]:
            features = items.features * self.item_feature_scale
            base += tf.sparse.sparse_dense_matmul(features, self.base_feature_slopes)
            item_factors += tf.sparse.sparse_dense_matmul(features, self.factor_feature_slopes)
        return tf.concat([base, tf.ones_like(base), item_factors], axis=1)

    def _prior_mean(self, queries: Tensor, step: LabelTensors) -> Tensor:
        """[n_users, n_factors + 1] m_u: the user factors expected without any label of the user."""
        mean = self.prior + tf.matmul(queries, self.query_slopes) + step.activity[:, tf.newaxis] * self.activity_slopes
        if self.feature_slopes.shape[0]:
            mean += tf.sparse.sparse_dense_matmul(step.user_features * self.user_feature_scale, self.feature_slopes)
        return mean

    def _label_losses(self, labels: Tensor, latent: Tensor, values: Tensor) -> Tensor:
        """[n_users, length] squared errors; ordinal and binary: cross-entropies, summed over the thresholds."""
        if self.task.kind == "regression":
            return (labels - latent) ** 2
        logits = tf.exp(self.log_steepness) * (latent[..., tf.newaxis] - self.thresholds)
        above = tf.cast(values[..., tf.newaxis] > tf.constant(self.label_scale.levels[:-1]), tf.float32)
        return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(above, logits), axis=-1)

    def _penalty(self) -> Tensor:
        config = self.config
        penalised = (
            (config.item_l2, (self.item_bias,)),
            (config.slope_l2, (self.base_slopes, self.base_feature_slopes, self.query_slopes, self.feature_slopes)),
            (config.factor_l2, (self.item_factors, self.factor_slopes, self.factor_feature_slopes)),
            (1.0, (self.activity_slopes, self.affinity_slope, self.lift_slopes)),
        )
        return tf.add_n([l2 * tf.reduce_sum(weight**2) for l2, weights in penalised for weight in weights])

    def _precision(self) -> Tensor:
        return tf.fill([self.config.n_factors + 1], self.config.user_precision)

    def _weight(self, name: str, *shape: int, spread: float = 0.0) -> Tensor:
        initializer = keras.initializers.RandomNormal(stddev=spread) if spread else "zeros"
        return self.add_weight(name=f"{self.name}/{name}", shape=shape, initializer=initializer)


def _scale(features: FeatureMatrix) -> np.float32:
    """The factor that brings rows to a mean square length of 1."""
    square = float(features.multiply(features).sum()) / max(features.shape[0] - 1, 1)
    return np.float32(1 / square**0.5 if square else 1)
