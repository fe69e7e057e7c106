"""TwoTower: a query tower that reads history and features, a candidate tower that reads id and features."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, keras
from belfry.layers.export import export_onnx
from belfry.layers.towers.item_encoder import impute_cold_items
from belfry.layers.towers.network import TowerNetwork
from belfry.layers.towers.watch_task import WatchTensors, WatchTraining, check_watches, watch_tensors
from belfry.layers.training import make_step
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import TwoTowerConfig
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.item2vec import Item2VecConfig, item_vectors
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE


class TwoTower(NeuralTowers[TwoTowerConfig, TowerNetwork]):
    """query = uniform + recency-weighted history, or user features without a history; candidate = id + features, bias.

    `TowerNetwork` has the formula. The recency-weighted history is read where the targets are the next items. User
    features are read for cold users only: beside a history the query tower would recognise its users by them and learn
    their lists by heart. The ranker reads them for everybody.
    """

    config_type = TwoTowerConfig

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse data in which no user has two events."""
        check_watches(history)

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1]; the last dimension is 1."""
        return self.learned.encode_queries(users, features)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]; the last dimension is the bias."""
        return self.learned.encode_candidates(items, features)

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph, its output `query` [n, embedding_size + 1] float32.

        `TowerNetwork.traced_query` names the inputs.
        """
        query, example = self.learned.traced_query(features)
        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> TowerNetwork:
        return TowerNetwork(features, self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config, network = self.config, self.learned
        watches = WatchTraining(history, config)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, watches.n_steps * watches.n_epochs)

        def losses(tensors: WatchTensors) -> tuple[Tensor, Tensor]:
            loss, penalty = watches.loss(network, tensors)
            return loss, loss + penalty

        step = make_step(network, keras.optimizers.Adam(schedule), losses)
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
            self.learned.item_encoders, self.learned.bias, features, optimism=self.config.new_item_optimism
        )

    def _mine(self, features: FeatureTables) -> ItemNums:
        """[n_users + 1, n_negatives] the unwatched items that the towers now rank highest; padded with 0."""
        history, n_mined = features.history, self.config.n_negatives
        items = np.arange(1, len(history.items) + 1, dtype=np.int32)
        users = np.arange(len(history.users) + 1, dtype=np.int32)
        retriever = IndexedRetriever(self, build_index(self.encode_candidates(items, features), items, IndexConfig()))
        found = retriever.retrieve(users, features, top_k=n_mined, exclude=history.seen_items)
        mined = np.zeros((len(users), n_mined), np.int32)
        mined[found.row_user, found.rank - 1] = found.item_num
        return mined
