"""ItemEncoder: item numbers, and their features as sparse rows -> one embedding."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from belfry.dataset.arrays import Mask
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.towers.ridge import FeatureMatrix, Table, Weights, impute_biases, ridge


class ItemInputs(NamedTuple):
    """Ids and features of some items."""

    ids: Tensor  # [n] int32, 0 where only features are known
    features: Tensor  # sparse [n, n_features] float32


def item_inputs(items: ItemNums, columns: FeatureColumns) -> ItemInputs:
    """Ids and feature rows of `items`, as tensors."""
    table = columns.matrix
    rows = table[items] if table.shape[1] else sp.csr_matrix(np.zeros((len(items), 0), np.float32))
    cells = np.stack([np.repeat(np.arange(len(items)), np.diff(rows.indptr)), rows.indices], axis=1)
    return ItemInputs(tf.constant(items), tf.SparseTensor(cells.astype(np.int64), rows.data, rows.shape))


class ItemEncoder(keras.layers.Layer):  # type: ignore[misc]
    """Embedding of an item with id i and feature row x_i: ids[i] + x_i . slopes.

    A sum rather than a concatenation: a missing feature adds nothing, so an item with features alone lands in the same
    space as a known one. One sparse product serves all columns: a table and a gather for each took most of a training
    step where titles are read word by word.
    """

    def __init__(self, *, n_ids: int, n_features: int, embedding_size: int, name: str) -> None:
        """`n_ids` counts the unknown, row 0."""
        super().__init__(name=name)
        self.ids = self._table(f"{name}/id", n_ids, embedding_size)
        self.slopes = self._table(f"{name}/features", n_features, embedding_size) if n_features else None

    def call(self, inputs: ItemInputs) -> Tensor:
        """[n, embedding_size] float32; zeros for id 0 without features."""
        embedding = tf.gather(self.ids, inputs.ids) * tf.cast(inputs.ids > 0, tf.float32)[:, tf.newaxis]
        if self.slopes is not None:
            embedding += tf.sparse.sparse_dense_matmul(inputs.features, self.slopes)
        return embedding

    def hide_ids(self, is_known: Mask) -> None:
        """Zero the id embeddings where `is_known` [n_ids] is false."""
        self.ids.assign(self.ids.numpy() * is_known[:, np.newaxis])

    def start_from(self, vectors: Table) -> None:
        """Take `vectors` [n_ids, embedding_size] as embeddings, whatever the features are."""
        self.ids.assign(vectors)
        if self.slopes is not None:
            self.slopes.assign(tf.zeros_like(self.slopes))

    def impute_new_items(self, features: FeatureMatrix, regressors: FeatureMatrix, weights: Weights) -> None:
        """Give each item of weight 0 the embedding z_i . B; the others stay.

        B is the ridge regression of the other items' embeddings on `regressors` z, weighted by `weights` [n_ids].
        """
        if self.slopes is None:
            return
        ids, is_new = self.ids.numpy(), weights == 0
        of_features = features @ self.slopes.numpy()
        regression = ridge(regressors, ids + of_features, weights)
        ids[is_new] = regressors[is_new] @ regression - of_features[is_new]
        self.ids.assign(ids)

    def _table(self, name: str, n_rows: int, embedding_size: int) -> Tensor:
        fresh = keras.initializers.RandomNormal(stddev=0.05)
        return self.add_weight(name=name, shape=(n_rows, embedding_size), initializer=fresh)


def impute_new_items(encoders: Iterable[ItemEncoder], bias: Tensor, features: FeatureTables) -> None:
    """Impute the embeddings of items without watches, and their rows of `bias` [n_ids, 1], from their features.

    An item with n watches has the weight sqrt(n) in the regression, between the typical item, which few watch, and the
    item of a typical watch. Of a multi-valued column it reads a 1 for each value rather than shares: how many values an
    item has tells of its popularity.
    """
    counts = features.history.item_counts
    if (counts[1:] > 0).all():
        return
    columns, weights = features.items.matrix, np.sqrt(counts)
    regressors = columns.copy()
    regressors.data[regressors.indices < sum(features.items.category_sizes)] = 1
    for encoder in encoders:
        encoder.impute_new_items(columns, regressors, weights)
    bias.assign(impute_biases(regressors, bias.numpy(), weights))


def shift(bias: Tensor, offsets: Table) -> None:
    """Add `offsets` [n_ids] to `bias` [n_ids, 1]."""
    bias.assign_add(offsets[:, np.newaxis])
