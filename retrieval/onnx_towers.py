"""OnnxTowers: the query tower in its serving form, with the candidate embeddings beside it. No TensorFlow."""

import sys
from pathlib import Path

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.history import history_windows, padded_bags
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.onnx import open_session
from belfry.layers.towers.config import TowersConfig
from belfry.retrieval.base import Embeddings, Retriever, Towers
from belfry.retrieval.config import AutoencoderConfig, RBMConfig, RetrieverConfig, TowerConfig
from belfry.retrieval.models.als import ALS, ALSConfig
from belfry.retrieval.models.autorec import AutoRec, AutoRecConfig
from belfry.retrieval.models.ease import EASE, EASEConfig
from belfry.retrieval.models.item2vec import Item2Vec, Item2VecConfig
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from belfry.retrieval.models.logistic_mf import LogisticMF, LogisticMFConfig
from belfry.retrieval.models.pure_svd import PureSVD, PureSVDConfig
from belfry.retrieval.popularity import Popularity, PopularityConfig

QUERY_TOWER_FILE = "query_tower.onnx"
_USERS_PER_BLOCK = 256
_BAG_INPUTS = frozenset({"history", "uniform", "recency"})


def load_towers(directory: Path, config: TowerConfig | TowersConfig, vectors: Embeddings) -> Towers:
    """What `TowerModel.export` wrote into `directory`, beside its candidate embeddings [n_items + 1, dim]."""
    match config:
        case ALSConfig():
            return ALS.load(directory)
        case PureSVDConfig():
            return PureSVD.load(directory)
        case LogisticMFConfig():
            return LogisticMF.load(directory)
        case Item2VecConfig():
            return Item2Vec.load(directory)
        case AutoRecConfig():
            return AutoRec.load(directory)
        case AutoencoderConfig() | RBMConfig():  # they read whole histories, and no recency
            return OnnxTowers(directory / QUERY_TOWER_FILE, vectors, half_life=1.0, max_history=sys.maxsize)
        case _:
            reading = config if isinstance(config, TowersConfig) else TowersConfig()
            return OnnxTowers(
                directory / QUERY_TOWER_FILE, vectors, half_life=reading.half_life, max_history=reading.max_history
            )


def load_retriever(directory: Path, config: RetrieverConfig) -> Retriever:
    """What `RetrieverModel.save` wrote into `directory`."""
    match config:
        case EASEConfig():
            return EASE.load(directory)
        case ItemKNNConfig():
            return ItemKNN.load(directory)
        case PopularityConfig():
            return Popularity.load(directory)


class OnnxTowers:
    """Meets the protocol `Towers` out of an exported query tower and stored candidate embeddings."""

    def __init__(self, query_tower: Path, vectors: Embeddings, *, half_life: float, max_history: int) -> None:
        """`vectors` [n_items + 1, dim], row i of item i; the rest as in the config that the towers were trained by."""
        self._session = open_session(query_tower)
        shapes = {entry.name: entry.shape for entry in self._session.get_inputs()}
        self._inputs = frozenset(shapes)
        self._window_length = shapes["window"][1] if "window" in shapes else 0
        self._vectors = vectors
        self._half_life, self._max_history = half_life, max_history

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, dim]."""
        blocks = [np.zeros((0, self._vectors.shape[1]), np.float32)]
        for first in range(0, len(users), _USERS_PER_BLOCK):
            inputs = self._inputs_of(users[first : first + _USERS_PER_BLOCK], features)
            blocks.append(self._session.run(None, {name: inputs[name] for name in self._inputs})[0])
        return np.concatenate(blocks)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, dim], as they were when the run was published."""
        return self._vectors[items]

    def _inputs_of(self, users: UserNums, features: FeatureTables) -> dict[str, np.ndarray]:
        """What the query tower reads, by the names of its inputs."""
        inputs: dict[str, np.ndarray] = {"user": users, **features.users.take(users)}
        if self._inputs & _BAG_INPUTS:
            inputs |= padded_bags(features.history, users, half_life=self._half_life, max_length=self._max_history)
        if "window" in self._inputs:
            windows = history_windows(features.history, users, length=self._window_length)
            inputs |= {"window": windows.item_num, "window_s": windows.time_s}
            inputs["request_s"] = np.full(len(users), features.now_s)
        return inputs
