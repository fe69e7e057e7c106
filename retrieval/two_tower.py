"""TwoTower: a query tower that reads features and the ordered history, a candidate tower that reads id and features."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.export import export_onnx
from belfry.layers.towers.item_encoder import impute_cold_items
from belfry.layers.towers.network import TowerNetwork
from belfry.layers.towers.watch_task import WatchTensors, WatchTraining, check_watches, watch_tensors
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import TwoTowerConfig
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.item2vec import Item2VecConfig, item_vectors
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE


class TwoTower(NeuralTowers[TwoTowerConfig, TowerNetwork]):
    """query = uniform + recency-weighted history, or user features without one; candidate = id + features + bias.

    User features beside a history would let the query tower recognise its users and learn their lists by heart, so
    they are read for cold users only; the ranker reads them for everybody. The recency-weighted history is read where
    the targets are the next items. The bias is the candidate's last dimension, which is 1 in every query, so that a
    plain dot product is the whole score.
    """

    config_type = TwoTowerConfig
    name = "two_tower"

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """A history of one event cannot predict anything."""
        check_watches(history)

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1]; see the class for the last dimension."""
        return self._network.encode_queries(users, features)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]."""
        return self._network.encode_candidates(items, features)

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph, its output `query` [n, embedding_size + 1] float32.

        `TowerNetwork.traced_query` names the inputs.
        """
        query, example = self._network.traced_query(features)
        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> TowerNetwork:
        return TowerNetwork(features, self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config, network = self.config, self._network
        watches = WatchTraining(history, config)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, watches.n_steps * watches.n_epochs)
        step = self._make_step(keras.optimizers.Adam(schedule), watches)
        vectors = None
        if config.item_start == "item2vec":
            start_seed = int(generator.integers(1 << 31))
            vectors = item_vectors(history, Item2VecConfig(embedding_size=config.embedding_size), seed=start_seed)
        for encoder in network.item_encoders:
            encoder.start_ids(watches.sampler.has_events, vectors)

        def run_epoch() -> Iterator[Tensor]:
            mined = self._mine(features) if config.negatives == "hard" and not watches.sampler.is_whole else None
            for batch in watches.batches(generator, mined):
                yield step(watch_tensors(batch, features))

        return TrainingPlan(
            run_epoch=run_epoch,
            n_epochs=watches.n_epochs,
            evaluate_every=watches.evaluate_every,
            patience=config.patience,
            loss_limit=watches.loss_limit,
        )

    def _impute_cold_items(self, features: FeatureTables) -> None:
        impute_cold_items(
            self._network.item_encoders, self._network.bias, features, optimism=self.config.new_item_optimism
        )

    def _mine(self, features: FeatureTables) -> Numbers:
        """[n_users + 1, n_negatives] the unwatched items that the towers as they are rank highest, 0 where fewer."""
        history, n_mined = features.history, self.config.n_negatives
        items = np.arange(1, len(history.items) + 1, dtype=np.int32)
        users = np.arange(len(history.users) + 1, dtype=np.int32)
        retriever = IndexedRetriever(self, build_index(self.encode_candidates(items, features), items, IndexConfig()))
        found = retriever.retrieve(users, features, top_k=n_mined, exclude=history.seen_items)
        mined = np.zeros((len(users), n_mined), np.int32)
        mined[found.row_user, found.rank - 1] = found.item_num
        return mined

    def _make_step(
        self, optimizer: keras.optimizers.Optimizer, watches: WatchTraining
    ) -> Callable[[WatchTensors], Tensor]:
        network = self._network

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(tensors: WatchTensors) -> Tensor:
            with tf.GradientTape() as tape:
                loss, penalty = watches.loss(network, tensors)
                objective = loss + penalty
            weights = network.trainable_variables
            gradients = tape.gradient(objective, weights)
            optimizer.apply_gradients(
                [
                    (tf.convert_to_tensor(gradient), weight)
                    for gradient, weight in zip(gradients, weights, strict=True)
                    if gradient is not None
                ]
            )
            return loss

        return step  # type: ignore[no-any-return]
