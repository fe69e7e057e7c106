"""OnnxTowers: the query tower in its serving form, with the candidate embeddings beside it. No TensorFlow."""

import sys
from collections.abc import Iterator

import numpy as np

from belfry.dataset.arrays import Positions
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import history_windows, padded_bags
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.onnx import Graph
from belfry.layers.saved.files import ReadablePath
from belfry.layers.towers.config import TowersConfig
from belfry.retrieval.base import Embeddings, Towers

QUERY_TOWER_FILE = "query_tower.onnx"
_USERS_PER_BLOCK = 256
_PLACES_PER_BLOCK = 1 << 13  # of bags: so many embeddings still fit a cache
_BAG_INPUTS = frozenset({"history", "uniform", "recency"})


def load_query_tower(directory: ReadablePath, config: ModelConfig, vectors: Embeddings) -> Towers:
    """Towers that read whole histories, windows or ids: their graph alone says what."""
    return OnnxTowers(directory / QUERY_TOWER_FILE, vectors)


def load_query_tower_of_bags(directory: ReadablePath, config: TowersConfig, vectors: Embeddings) -> Towers:
    """Towers that read weighted bags of the newest items of a history."""
    return OnnxTowers(directory / QUERY_TOWER_FILE, vectors, half_life=config.half_life, max_history=config.max_history)


class OnnxTowers:
    """Meets the protocol `Towers` out of an exported query tower and stored candidate embeddings."""

    def __init__(
        self, query_tower: ReadablePath, vectors: Embeddings, *, half_life: float = 1.0, max_history: int = sys.maxsize
    ) -> None:
        """The graph of the query tower, and what it is to be fed.

        Args:
            vectors: [n_items + 1, dim], row i of item i.
            half_life: items after which a watch counts half in the input `recency`.
            max_history: newest items of a history in the inputs `history`, `uniform` and `recency`.
        """
        self._graph = Graph(query_tower)
        shapes = self._graph.input_shapes
        self._inputs = frozenset(shapes)
        length = shapes["window"][1] if "window" in shapes else 0
        if not isinstance(length, int):
            raise ArtifactError(f"{query_tower}: does not say how long its windows are; train again")
        self._window_length = length
        self._vectors = vectors
        self._half_life, self._max_history = half_life, max_history

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, dim]."""
        queries = np.zeros((len(users), self._vectors.shape[1]), np.float32)
        for rows in self._blocks(users, features):
            queries[rows] = self._graph(self._inputs_of(users[rows], features))
        return queries

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, dim], as they were when the run was published."""
        return self._vectors[items]

    def _blocks(self, users: UserNums, features: FeatureTables) -> Iterator[Positions]:
        """Positions of users, those of similar histories together: bags are padded to the longest of a block."""
        lengths = np.ones(len(users), np.int64)
        if len(users) > 1 and self._inputs & _BAG_INPUTS:
            starts = features.history.by_user.starts
            lengths = np.clip(starts[users + 1] - starts[users], 1, self._max_history)
        left = np.argsort(lengths, kind="stable")
        while len(left):
            n_places = lengths[left[:_USERS_PER_BLOCK]] * np.arange(1, min(len(left), _USERS_PER_BLOCK) + 1)
            size = max(int(n_places.searchsorted(_PLACES_PER_BLOCK, "right")), 1)
            yield left[:size]
            left = left[size:]

    def _inputs_of(self, users: UserNums, features: FeatureTables) -> dict[str, np.ndarray]:
        """What the query tower reads, by the names of its inputs."""
        inputs: dict[str, np.ndarray] = {"user": users, **features.users.content.inputs(users)}
        if self._inputs & _BAG_INPUTS:
            inputs |= padded_bags(features.history, users, half_life=self._half_life, max_length=self._max_history)
        if "window" in self._inputs:
            windows = history_windows(features.history, users, length=self._window_length)
            inputs |= {"window": windows.item_num, "window_s": windows.time_s}
            inputs["request_s"] = np.full(len(users), features.now_s)
        return inputs
