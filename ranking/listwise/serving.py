"""Rankers in their serving form. No TensorFlow."""

import numpy as np

from belfry.layers.onnx import Graph
from belfry.layers.saved.files import ReadablePath
from belfry.ranking.base import SavedRanker, Scores
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.boosted import LightGbmRanker
from belfry.ranking.listwise.feature_ranker import FeaturedRanker

GRAPH_FILE = "ranker.onnx"
_ROWS_PER_BLOCK = 1 << 11  # so many rows of a layer stay in the cache: more than twice as fast as 65,000 at once


class OnnxRanker:
    """Meets the protocol `ListScorer` out of an exported network."""

    def __init__(self, directory: ReadablePath) -> None:
        self._graph = Graph(directory / GRAPH_FILE)
        self._reads = list(self._graph.input_shapes)

    def score_lists(self, lists: Lists) -> Scores:
        """[n_rows] float32."""
        parts = [np.zeros(0, np.float32)]
        for block in lists.blocks(_ROWS_PER_BLOCK):
            rows, present = lists.padded_rows(block)
            parts.append(self._graph(lists.inputs(block, rows, present, self._reads))[present])
        return np.concatenate(parts)


def load_network(saved: SavedRanker) -> FeaturedRanker:
    """A ranker whose scorer is a network."""
    return FeaturedRanker.load(saved, OnnxRanker(saved.folder))


def load_trees(saved: SavedRanker) -> FeaturedRanker:
    """A ranker whose scorer is gradient-boosted trees."""
    return FeaturedRanker.load(saved, LightGbmRanker.load(saved.folder))
