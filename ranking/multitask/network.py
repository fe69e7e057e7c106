"""MultitaskNetwork: two towers with the tasks on top, and the training step of all of them together."""

from collections.abc import Callable, Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.towers.item_encoder import item_inputs
from belfry.layers.towers.network import TowerNetwork, all_items, bag_matrices, is_cold, sum_bags
from belfry.layers.towers.watch_task import WatchTensors, WatchTraining
from belfry.ranking.multitask.balancing import Uncertainty, norm, pcgrad
from belfry.ranking.multitask.category_lifts import CategoryLifts, category_shares
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.experts import ProgressiveExtraction, SharedBottom, Sharing
from belfry.ranking.multitask.label_batches import LabelledBatch
from belfry.ranking.multitask.ridge_head import RidgeHead, log_count
from belfry.ranking.multitask.ridge_head_layer import LabelScale, LabelTensors, RidgeHeadLayer


class MultitaskNetwork(keras.Model):  # type: ignore[misc]
    """Encoders of the towers -> sharing -> one output per task; the first, the watch's, is that of retrieval."""

    def __init__(self, features: FeatureTables, config: MultitaskConfig, scales: Sequence[LabelScale]) -> None:
        super().__init__(name="multitask")
        self.config = config
        self.query_sharing = _sharing(config, config.query_hidden, "query_sharing")
        self.candidate_sharing = _sharing(config, config.candidate_hidden, "candidate_sharing")

        def watch_output(sharing: Sharing) -> Callable[..., Tensor]:
            return lambda inputs, training=False: sharing(inputs, training=training)[0]

        tops = watch_output(self.query_sharing), watch_output(self.candidate_sharing)
        self.towers = TowerNetwork(features, config, tops)
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
        own = {id(self.towers.bias)}
        towers = [weight for weight in self.towers.trainable_variables if id(weight) not in own]
        return [*towers, *self.query_sharing.shared_weights, *self.candidate_sharing.shared_weights]

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

    def label_tensors(self, batch: LabelledBatch, features: FeatureTables) -> LabelTensors:
        """The inputs of a step on `batch`."""
        read, labelled = np.unique(batch.bags.item_num), np.unique(batch.labels.item_num)
        places = np.searchsorted(read, batch.bags.item_num).astype(np.int32)
        uniform, recency = bag_matrices(batch.bags, len(batch.users), places, len(read))
        length = np.diff(features.history.by_user.starts)[batch.users]
        shape = batch.labels.item_num.shape
        lifts = CategoryLifts(features, batch.users, self.category_shares.numpy())
        of_labels = np.repeat(np.arange(len(batch.users)), shape[1]), batch.labels.item_num.ravel()
        dense = (
            log_count(length),
            np.searchsorted(labelled, batch.labels.item_num).astype(np.int32),
            log_count(self.item_counts.numpy()[batch.labels.item_num] - 1),
            lifts(*of_labels, are_watched=True).reshape(*shape, -1),
            batch.labels.values,
            batch.labels.is_labelled.astype(np.float32),
            batch.is_target.astype(np.float32),
        )
        return LabelTensors(
            uniform,
            recency,
            item_inputs(read, features.items),
            item_inputs(labelled, features.items),
            tf.constant(is_cold(batch.bags, len(batch.users))),
            tf.nest.map_structure(tf.constant, features.users.content.take(batch.users)),
            item_inputs(batch.users, features.users).features,
            *map(tf.constant, dense),
        )


def make_step(
    network: MultitaskNetwork,
    watches: WatchTraining,
    *,
    shared: keras.optimizers.Optimizer | None,
    own: keras.optimizers.Optimizer,
) -> Callable[[WatchTensors | None, LabelTensors | None], tuple[Tensor, Tensor]]:
    """A training step, which gives each task's mean loss and the norm of its gradient on the shared weights.

    Both are [n_tasks + 1], the watch first; 0 for a task that is not in the step. Without the optimizer `shared` the
    shared weights stay as they are.
    """
    config, balance = network.config, network.uncertainty
    shared_weights = network.shared_weights
    is_shared = {id(weight) for weight in shared_weights}
    own_weights = [weight for weight in network.trainable_variables if id(weight) not in is_shared]
    label_weights = [task.task.weight * task.label_scale.n_labels / watches.n_watches for task in network.tasks]
    task_weights = (config.watch_weight, *label_weights)

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(watch: WatchTensors | None, labelled: LabelTensors | None) -> tuple[Tensor, Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            parts = [(tf.zeros(()), tf.zeros(()))] if watch is None else [watches.loss(network.towers, watch)]
            absent = [(tf.zeros(()), tf.zeros(()))] * len(network.tasks)
            parts += absent if labelled is None else network.label_losses(labelled)
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
        if shared is not None:
            kept = pcgrad(gradients) if config.balancing == "pcgrad" else gradients
            sums = [tf.add_n(of_tasks) for of_tasks in zip(*kept, strict=True)]
            shared.apply_gradients(zip(sums, shared_weights, strict=True))
        on_own = zip(tape.gradient(total, own_weights), own_weights, strict=True)
        own.apply_gradients([(tf.convert_to_tensor(g), weight) for g, weight in on_own if g is not None])
        return tf.stack([loss for loss, _ in parts]), tf.stack([norm(task) for task in gradients])

    return step  # type: ignore[no-any-return]


def _sharing(config: MultitaskConfig, hidden: tuple[int, ...], name: str) -> Sharing:
    n_tasks = len(config.tasks) + 1
    if config.sharing == "bottom":
        return SharedBottom(hidden, config.embedding_size, n_tasks=n_tasks, dropout=config.dropout, name=name)
    return ProgressiveExtraction(config, n_tasks=n_tasks, name=name)
