"""MultitaskNetwork: two towers with the tasks on top, and the training step of all of them together."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.features import Column, FeatureTables
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.steps.adam import Adam
from belfry.layers.steps.loop import Batch, Nest, Stack, stacked
from belfry.layers.towers.network import TowerNetwork, TowerShapes, all_items, is_cold, sum_bags
from belfry.layers.towers.watch_task import encoder_inputs, feature_stacks, watch_loss
from belfry.ranking.multitask.balancing import Uncertainty, norm, pcgrad
from belfry.ranking.multitask.category_lifts import CategoryLifts, category_shares
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.experts import ProgressiveExtraction, SharedBottom, Sharing
from belfry.ranking.multitask.label_batches import LabelledBatch, Values
from belfry.ranking.multitask.ridge_head import RidgeHead, log_count
from belfry.ranking.multitask.ridge_head_layer import LabelScale, LabelTensors, RidgeHeadLayer


class MultitaskNetwork(keras.Model):  # type: ignore[misc]
    """Encoders of the towers -> sharing -> one output per task; the first, the watch's, is that of retrieval."""

    def __init__(self, features: FeatureTables, config: MultitaskConfig, scales: Sequence[LabelScale]) -> None:
        super().__init__(name="multitask")
        self.config, self.n_user_features = config, features.users.matrix.shape[1]
        self.query_sharing = _sharing(config, config.query_hidden, "query_sharing")
        self.candidate_sharing = _sharing(config, config.candidate_hidden, "candidate_sharing")

        def watch_output(sharing: Sharing) -> Callable[..., Tensor]:
            return lambda inputs, training=False: sharing(inputs, training=training)[0]

        tops = watch_output(self.query_sharing), watch_output(self.candidate_sharing)
        self.towers = TowerNetwork(TowerShapes.of(features), config, tops)
        self.tasks = [
            RidgeHeadLayer(task, number, config, features, scale)
            for number, (task, scale) in enumerate(zip(config.tasks, scales, strict=True))
        ]
        self.uncertainty = Uncertainty(len(config.tasks) + 1) if config.balancing == "uncertainty" else None
        self.item_counts = self.add_weight(
            name="item_counts", shape=(len(features.history.items) + 1,), trainable=False, initializer="zeros"
        )
        self.item_counts.assign(features.history.item_counts)
        shares = category_shares(features.items, features.history.item_counts)
        self.category_shares = self.add_weight(
            name="category_shares", shape=shares.shape, trainable=False, initializer="zeros"
        )
        self.category_shares.assign(shares)
        for sharing in (self.query_sharing, self.candidate_sharing):
            sharing(tf.zeros((1, config.embedding_size)))
        self.built = True

    @property
    def shared_weights(self) -> list[Tensor]:
        """The weights that several tasks train: encoders and shared experts."""
        towers = [weight for weight in self.towers.trainable_variables if weight is not self.towers.bias]
        return [*towers, *self.query_sharing.shared_weights, *self.candidate_sharing.shared_weights]

    @property
    def own_weights(self) -> list[Tensor]:
        """The other weights that are trained: each belongs to one task."""
        is_shared = {id(weight) for weight in self.shared_weights}
        return [weight for weight in self.trainable_variables if id(weight) not in is_shared]

    @property
    def encoder_weights(self) -> list[Tensor]:
        """All weights but those of the tasks."""
        return [*self.towers.weights, *self.query_sharing.weights, *self.candidate_sharing.weights]

    def label_losses(self, step: LabelTensors) -> list[tuple[Tensor, Tensor]]:
        """The mean loss and the penalty of each task."""
        tables = self.towers.history_table(step.read)
        bags = sum_bags(step.uniform, tables[0]) + sum_bags(step.recency, tables[1])
        joined = self.towers.join(bags, step.is_cold, step.user_columns, None)
        queries = self.query_sharing(self.towers.drop(joined, training=True), training=True)[1:]
        candidates = self.candidate_sharing(self.towers.candidate_encoder(step.labelled), training=True)[1:]
        losses = []
        for task, query, candidate in zip(self.tasks, queries, candidates, strict=True):
            task.candidate_scale(candidate, training=True)
            losses.append(task(task.query(query, training=True), candidate, step))
        return losses

    def task_queries(self, joined: Tensor) -> Tensor:
        """[n, n_tasks * embedding_size] the queries of all tasks; `joined` is the output of `TowerNetwork.join`."""
        outputs = self.query_sharing(joined)[1:]
        return tf.concat([task.query(output) for task, output in zip(self.tasks, outputs, strict=True)], axis=1)

    def tables(self, features: FeatureTables) -> tuple[RidgeHead, ...]:
        """Each task in its serving form."""
        items, counts = all_items(features), self.item_counts.numpy()
        outputs = self.candidate_sharing(self.towers.candidate_encoder(items))[1:]
        return tuple(task.table(output, items, counts) for task, output in zip(self.tasks, outputs, strict=True))

    def label_stacks(self, batches: Sequence[LabelledBatch], features: FeatureTables) -> dict[str, Stack]:
        """The inputs of steps on `batches`, for `label_tensors`."""
        bags = [batch.bags for batch in batches]
        read, read_place = _unique([bag.item_num for bag in bags])
        labelled, label_place = _unique([batch.labels.item_num for batch in batches])
        cells = [np.stack([bag.row, place], axis=1) for bag, place in zip(bags, read_place, strict=True)]
        raters = stacked([batch.users for batch in batches])
        return {
            "labels/bags": stacked([(cell, bag.uniform, bag.recency) for cell, bag in zip(cells, bags, strict=True)]),
            "labels/users": stacked([self._of_raters(batch, features) for batch in batches]),
            "labels": stacked(
                [self._of_labels(batch, place, features) for batch, place in zip(batches, label_place, strict=True)]
            ),
            **feature_stacks("labels/read", read.values, read.starts, features.items.matrix),
            **feature_stacks("labelled", labelled.values, labelled.starts, features.items.matrix),
            **feature_stacks("raters", raters.values, raters.starts, features.users.matrix),
        }

    def label_tensors(self, batch: Batch) -> LabelTensors:
        """The inputs of one step, from its rows of `label_stacks`."""
        is_cold, activity, user_columns = batch["labels/users"]
        place, log_counts, lifts, values, is_labelled, is_target = batch["labels"]
        cells, uniform, recency = batch["labels/bags"]
        read = encoder_inputs("labels/read", batch, self.towers.n_item_features)
        n_users = tf.size(activity)
        bags_shape = tf.cast(tf.stack([n_users, tf.size(read.ids)]), tf.int64)

        def by_user(of_labels: Tensor) -> Tensor:
            """[n_users, length, ...] from [n_users * length, ...]."""
            rest = of_labels.shape[1:]
            return tf.reshape(of_labels, tf.concat([[n_users, tf.shape(of_labels)[0] // n_users], rest], axis=0))

        return LabelTensors(
            tf.SparseTensor(cells, uniform, bags_shape),
            tf.SparseTensor(cells, recency, bags_shape),
            read,
            encoder_inputs("labelled", batch, self.towers.n_item_features),
            is_cold,
            user_columns,
            encoder_inputs("raters", batch, self.n_user_features).features,
            activity,
            by_user(place),
            by_user(log_counts),
            by_user(lifts),
            tf.transpose(by_user(values), [2, 0, 1]),
            tf.transpose(by_user(is_labelled), [2, 0, 1]),
            by_user(is_target),
        )

    def _of_raters(self, batch: LabelledBatch, features: FeatureTables) -> tuple[Mask, Values, dict[str, Column]]:
        """Of each user: whether nothing is read, activity and content columns."""
        length = np.diff(features.history.by_user.starts)[batch.users]
        columns = features.users.content.inputs(batch.users)
        return is_cold(batch.bags, len(batch.users)), log_count(length).astype(np.float32), columns

    def _of_labels(
        self, batch: LabelledBatch, place: Positions, features: FeatureTables
    ) -> tuple[npt.NDArray[Any], ...]:
        """Of each label, those of one user after another's, padding included."""
        items = batch.labels.item_num
        lifts = CategoryLifts(features, batch.users, self.category_shares.numpy())
        n_tasks = len(batch.labels.values)
        return (
            place.astype(np.int32),
            log_count(self.item_counts.numpy()[items.ravel()] - 1).astype(np.float32),
            lifts(np.repeat(np.arange(len(items)), items.shape[1]), items.ravel(), are_watched=True),
            batch.labels.values.reshape(n_tasks, -1).T,
            batch.labels.is_labelled.reshape(n_tasks, -1).T.astype(np.float32),
            batch.is_target.ravel().astype(np.float32),
        )


def _unique(parts: Sequence[ItemNums]) -> tuple[Stack, list[Positions]]:
    """The items of each part once, rising, and where those of the part stand among them."""
    found = [np.unique(part, return_inverse=True) for part in parts]
    return stacked([items for items, _ in found]), [place.ravel() for _, place in found]


def make_step(
    network: MultitaskNetwork, label_weights: Sequence[float], *, trains_shared: bool, shared: Adam, own: Adam
) -> Callable[[Batch, Nest], Tensor]:
    """A training step, for `StepLoop`, which gives each task's mean loss and its gradient's norm on the shared weights.

    [2, n_tasks + 1], the watch first; 0 for a task that is not in the batch. What steps share is (learning rates of the
    shared and of the other weights, steps of the training, `WatchTraining.shared`). Shared weights stay as they are
    unless `trains_shared`.
    """
    config, balance = network.config, network.uncertainty
    shared_weights = network.shared_weights
    own_weights = network.own_weights
    task_weights = (config.watch_weight, *label_weights)

    def step(batch: Batch, of_all: Nest) -> Tensor:
        (rate, own_rate), n_steps, of_watches = of_all
        with tf.GradientTape(persistent=True) as tape:
            absent = (tf.zeros(()), tf.zeros(()))
            parts = [watch_loss(network.towers, batch, of_watches) if "targets" in batch else absent]
            has_labels = "labels" in batch
            parts += network.label_losses(network.label_tensors(batch)) if has_labels else [absent] * len(network.tasks)
            plain = [loss + penalty for loss, penalty in parts]
            objectives = [weight * objective for weight, objective in zip(task_weights, plain, strict=True)]
            total = tf.add_n(plain)  # task weights do not scale the learning of weights that only one task has
            if balance is not None:
                objectives = balance(objectives)
                total += tf.add_n(objectives)
        gradients = [
            [tf.convert_to_tensor(g) for g in tape.gradient(objective, shared_weights, unconnected_gradients="zero")]
            for objective in objectives
        ]
        if trains_shared:
            kept = pcgrad(gradients) if config.balancing == "pcgrad" else gradients
            sums = [tf.add_n(of_tasks) for of_tasks in zip(*kept, strict=True)]
            shared.apply(sums, shared_weights, rate, n_steps)
        own.apply(tape.gradient(total, own_weights), own_weights, own_rate, n_steps)
        return tf.stack([[loss for loss, _ in parts], [norm(task) for task in gradients]])

    return step


def _sharing(config: MultitaskConfig, hidden: tuple[int, ...], name: str) -> Sharing:
    n_tasks = len(config.tasks) + 1
    if config.sharing == "bottom":
        return SharedBottom(hidden, config.embedding_size, n_tasks=n_tasks, dropout=config.dropout, name=name)
    return ProgressiveExtraction(config, n_tasks=n_tasks, name=name)
