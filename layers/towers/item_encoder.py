"""ItemEncoder: item numbers, and their features as sparse rows -> one embedding."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Mask
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.ridge import FeatureMatrix, Table, Weights, impute_biases, ridge


class ItemInputs(NamedTuple):
    """What is known of some items."""

    ids: Tensor  # [n] int32, 0 for an item that is known by its features alone
    features: Tensor  # sparse [n, n_features] float32


def item_inputs(items: ItemNums, columns: FeatureColumns) -> ItemInputs:
    """The rows of `items`; equal `items` and columns give equal inputs."""
    table = columns.matrix
    rows = table[items] if table.shape[1] else sp.csr_matrix(np.zeros((len(items), 0), np.float32))
    cells = np.stack([np.repeat(np.arange(len(items)), np.diff(rows.indptr)), rows.indices], axis=1)
    return ItemInputs(tf.constant(items), tf.SparseTensor(cells.astype(np.int64), rows.data, rows.shape))


class ItemEncoder(keras.layers.Layer):  # type: ignore[misc]
    """Adds up one embedding per feature: the id, each category, the mean of a multi-valued column, the numbers.

    A sum rather than a concatenation: a feature that is missing adds nothing, so an item with features alone lands in
    the same space as a known one. One sparse product does for all columns: a table and a gather for each took most of
    a training step where titles are read word by word.
    """

    def __init__(self, columns: FeatureColumns, *, n_ids: int, embedding_size: int, name: str) -> None:
        """`n_ids` rows are kept for ids, row 0 the unknown's; of `columns` only the shape is read."""
        super().__init__(name=name)
        n_features = columns.matrix.shape[1]
        self.ids = self._table(f"{name}/id", n_ids, embedding_size)
        self.slopes = self._table(f"{name}/features", n_features, embedding_size) if n_features else None

    def call(self, inputs: ItemInputs) -> Tensor:
        """[n, embedding_size] float32; zeros for id 0 without features."""
        embedding = tf.gather(self.ids, inputs.ids) * tf.cast(inputs.ids > 0, tf.float32)[:, tf.newaxis]
        if self.slopes is not None:
            embedding += tf.sparse.sparse_dense_matmul(inputs.features, self.slopes)
        return embedding

    def start_ids(self, is_known: Mask, vectors: Table | None = None) -> None:
        """Give ids no part in what is not known; the others start from `vectors` [n_ids, embedding_size], if given.

        Vectors are brought to the spread of fresh embeddings.
        """
        fresh: Table = self.ids.numpy()
        if vectors is not None:
            fresh = vectors * (fresh.std() / max(float(vectors[is_known].std()), 1e-9))
        self.ids.assign(fresh * is_known[:, np.newaxis])

    def impute_cold_items(self, features: FeatureMatrix, weights: Weights) -> None:
        """Embed each item of weight 0 as the others with such features suggest, by their weights; those stay."""
        if self.slopes is None:
            return
        ids, slopes, is_new = self.ids.numpy(), self.slopes.numpy(), weights == 0
        suggested = ridge(features, ids + features @ slopes, weights)
        ids[is_new] = features[is_new] @ (suggested - slopes)
        self.ids.assign(ids)

    def _table(self, name: str, n_rows: int, embedding_size: int) -> Tensor:
        fresh = keras.initializers.RandomNormal(stddev=0.05)
        return self.add_weight(name=name, shape=(n_rows, embedding_size), initializer=fresh)


def impute_cold_items(
    encoders: Iterable[ItemEncoder], bias: Tensor, features: FeatureTables, *, optimism: float
) -> None:
    """Give items without watches embeddings, and their row of the variable `bias` [n_ids, 1], by their features.

    Items with n watches say n^optimism times what such an item is like: at 0 it is taken for one of many that few
    watch, at 1 for what a watch is most often of.
    """
    columns, counts = features.items.matrix, features.history.item_counts
    weights = np.where(counts > 0, np.maximum(counts, 1) ** float(optimism), 0)
    for encoder in encoders:
        encoder.impute_cold_items(columns, weights)
    bias.assign(impute_biases(columns, bias.numpy(), weights))
