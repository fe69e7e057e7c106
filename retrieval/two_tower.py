"""TwoTower: a query tower that reads history and features, a candidate tower that reads id and features."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor
from belfry.layers.export import export_onnx
from belfry.layers.steps.loop import Batch, Nest, Trainer
from belfry.layers.towers.item_encoder import impute_new_items, shift
from belfry.layers.towers.network import TowerNetwork, TowerShapes
from belfry.layers.towers.start import start_from_watches
from belfry.layers.towers.watch_task import WatchTraining, watch_loss
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import TwoTowerConfig
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.new_items import Offsets
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
        self.config.check(history)

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
        query, example, tables = self.learned.traced_query(features)
        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query", tables=tables)

    def _make_network(self, features: FeatureTables) -> TowerNetwork:
        return TowerNetwork(TowerShapes.of(features), self.config)

    def _start(self, history: Interactions, generator: np.random.Generator) -> None:
        if self.config.item_start == "svd":
            start_from_watches(self.learned, history, seed=int(generator.integers(1 << 31)))

    def _of_items(self) -> Sequence[Tensor]:
        return [*(encoder.ids for encoder in self.learned.item_encoders), self.learned.bias]

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config, network = self.config, self.learned
        watches = WatchTraining(history, features, config)
        for encoder in network.item_encoders:
            encoder.hide_ids(watches.sampler.has_events)
        trainer = _trainer(TowerShapes.of(features), config, watches.sampler.is_whole)
        n_steps = watches.n_steps * watches.n_epochs
        trainer.start(network, rate=config.learning_rate, n_steps=n_steps, shared=watches.shared())

        def run_epoch() -> Iterator[float]:
            mined = self._mine(features) if config.negatives == "hard" and not watches.sampler.is_whole else None
            for block in watches.blocks(generator, mined):
                yield from trainer.run(block, seed=int(generator.integers(1 << 31)))
            trainer.copy_to(network)

        return TrainingPlan(
            run_epoch=run_epoch,
            n_epochs=watches.n_epochs,
            evaluate_every=watches.evaluate_every,
            patience=config.patience,
            loss_limit=watches.loss_limit,
            evaluate_start=config.item_start != "random",
            release=trainer.release,
        )

    def shift_new_items(self, offsets: Offsets) -> None:
        shift(self.learned.bias, offsets)

    def _impute_new_items(self, features: FeatureTables) -> None:
        impute_new_items(self.learned.item_encoders, self.learned.bias, features)

    def _mine(self, features: FeatureTables) -> ItemNums:
        """[n_users + 1, n_negatives] the unwatched items that the towers now rank highest; padded with 0."""
        history, n_mined = features.history, self.config.n_negatives
        items = np.arange(1, len(history.items) + 1, dtype=np.int32)
        users = np.arange(len(history.users) + 1, dtype=np.int32)
        vectors = self.encode_candidates(items, features)
        retriever = IndexedRetriever(self, build_index(vectors, items, IndexConfig(), vectors[:0]))
        found = retriever.retrieve(users, features, top_k=n_mined, exclude=history.seen_items)
        mined = np.zeros((len(users), n_mined), np.int32)
        mined[found.row_user, found.rank - 1] = found.item_num
        return mined


@lru_cache(maxsize=1)
def _trainer(shapes: TowerShapes, config: TwoTowerConfig, is_whole: bool) -> Trainer:
    """Compiled once for all folds; `is_whole`: the candidates of a step are the whole catalogue."""

    def losses(network: TowerNetwork, batch: Batch, shared: Nest) -> tuple[Tensor, Tensor]:
        loss, penalty = watch_loss(network, batch, shared)
        return loss, loss + penalty

    return Trainer(TowerNetwork(shapes, config), losses)
