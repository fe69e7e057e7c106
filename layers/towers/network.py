"""TowerNetwork: the weights of the default two towers, and how they turn inputs into queries and candidates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask
from belfry.dataset.features import Column, FeatureTables
from belfry.dataset.history.bags import HistoryBags, history_bags
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.blocks import hidden_layers
from belfry.layers.encoders import ColumnShapes, FeatureEncoder
from belfry.layers.steps.noise import Dropout
from belfry.layers.towers.config import TowersConfig
from belfry.layers.towers.item_encoder import ItemEncoder, ItemInputs, item_inputs

Embeddings: TypeAlias = npt.NDArray[np.float32]  # [n, dim]
Top: TypeAlias = Callable[..., Tensor]  # [n, embedding_size] to the same; takes `training`

_USERS_PER_BLOCK = 1024


@dataclass(frozen=True)
class TowerShapes:
    """All that the weights of a network depend on beside its config; equal for the folds of one table."""

    n_ids: int  # of items, the unknown's too
    n_item_features: int
    user_columns: ColumnShapes
    is_ordered: bool

    @classmethod
    def of(cls, features: FeatureTables) -> "TowerShapes":
        return cls(
            len(features.history.items) + 1,
            features.items.matrix.shape[1],
            ColumnShapes.of(features.users.content),
            features.history.is_ordered,
        )


class TowerNetwork(keras.Model):  # type: ignore[misc]
    """Both towers.

    query(u) = [top(sum_i a_ui E_uniform(i) + sum_i r_ui E_recency(i)), 1] over the history of u, where a and r are its
    uniform and recency weights; candidate(i) = [top(E_candidate(i)), bias_i]; so a dot product includes the bias.
    Without a history the sums are replaced by the embedding of the user features. E are `ItemEncoder`s.
    """

    def __init__(self, shapes: TowerShapes, config: TowersConfig, tops: tuple[Top, Top] | None = None) -> None:
        """`tops` replace the hidden layers of the query tower and of the candidate tower."""
        super().__init__(name="towers")
        size = config.embedding_size
        encoder = partial(ItemEncoder, n_ids=shapes.n_ids, n_features=shapes.n_item_features, embedding_size=size)
        self.config, self.n_item_features = config, shapes.n_item_features
        self.reads_order = config.targets == "next" and shapes.is_ordered
        self.uniform_encoder = encoder(name="uniform_history")
        self.recency_encoder = encoder(name="recency_history")
        self.candidate_encoder = self.uniform_encoder if config.shares_items else encoder(name="candidate")
        self.item_encoders = tuple(dict.fromkeys([self.uniform_encoder, self.recency_encoder, self.candidate_encoder]))
        self.bias = self.add_weight(name="bias", shape=(shapes.n_ids, 1), initializer="zeros")
        columns = shapes.user_columns
        self.user_encoder = FeatureEncoder(columns, embedding_size=size, name="user") if columns else None
        self.age_slopes = (
            self.add_weight(name="age_slopes", shape=(3, size), initializer="zeros") if config.example_age else None
        )
        hidden = (config.query_hidden, config.candidate_hidden)
        self.query_top, self.candidate_top = tops or tuple(
            hidden_layers(widths, size, dropout=config.dropout, name=name)
            for widths, name in zip(hidden, ("query_hidden", "candidate_hidden"), strict=True)
        )
        self.drop = Dropout(config.dropout)
        self.built = True

    def history_table(self, items: ItemInputs) -> tuple[Tensor, Tensor]:
        """Both [n_items, embedding_size]: an item's embedding in the uniform and in the recency-weighted history."""
        uniform = self.uniform_encoder(items)
        return uniform, self.recency_encoder(items) if self.reads_order else tf.zeros_like(uniform)

    def join(self, bags: Tensor, is_cold: Tensor, user_columns: Mapping[str, Tensor], age: Tensor | None) -> Tensor:
        """[n_queries, embedding_size] the input of the query tower's top.

        Args:
            bags: [n_queries, embedding_size] weighted sum of the history's items.
            is_cold: [n_queries, 1] bool, histories without items.
            user_columns: the content columns, [n_queries, ...].
            age: [n_queries] of the targets; None in serving, which means age 0.
        """
        query = bags if self.user_encoder is None else tf.where(is_cold, self.user_encoder(user_columns), bags)
        if self.age_slopes is not None and age is not None:
            query += tf.matmul(tf.stack([tf.sqrt(age), age, age**2], axis=1), self.age_slopes)
        return query

    def query(
        self, bags: Tensor, is_cold: Tensor, user_columns: Mapping[str, Tensor], age: Tensor | None, *, training: bool
    ) -> Tensor:
        """[n_queries, embedding_size + 1]; the arguments are those of `join`."""
        joined = self.drop(self.join(bags, is_cold, user_columns, age), training=training)
        query = self.query_top(joined, training=training)
        if self.config.similarity == "cosine":
            query = tf.math.l2_normalize(query, axis=1)
        return tf.concat([query, tf.ones_like(query[:, :1])], axis=1)

    def candidates(self, items: ItemInputs, *, training: bool = False) -> Tensor:
        """[n_items, embedding_size + 1]."""
        vectors = self.candidate_top(self.candidate_encoder(items), training=training)
        bias = tf.gather(self.bias, items.ids)
        match self.config.similarity:
            case "cosine":
                vectors, bias = tf.math.l2_normalize(vectors, axis=1), tf.zeros_like(bias)
            case "euclidean":  # q . c - |c|^2 / 2 = -|q - c|^2 / 2, up to a constant of the query
                bias = -tf.reduce_sum(vectors**2, axis=1, keepdims=True) / 2
        return tf.concat([vectors, bias], axis=1)

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1] of the histories in `features`."""
        blocks = [np.zeros((0, self.config.embedding_size + 1), np.float32)]
        for bags, is_cold, user_columns in self.user_blocks(users, features):
            blocks.append(self.query(bags, is_cold, user_columns, None, training=False))
        return np.concatenate(blocks)

    def user_blocks(
        self, users: UserNums, features: FeatureTables
    ) -> Iterator[tuple[Tensor, Mask, Mapping[str, Column]]]:
        """The arguments of `query` for the histories in `features`, some users at a time."""
        for first in range(0, len(users), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            bags = history_bags(
                features.history, block, half_life=self.config.half_life, max_length=self.config.max_history
            )
            read, places = np.unique(bags.item_num, return_inverse=True)
            cells, shape = np.stack([bags.row, places], axis=1), (len(block), len(read))
            tables = self.history_table(item_inputs(read, features.items))
            uniform, recency = (
                sum_bags(tf.SparseTensor(cells, weights, shape), table)
                for weights, table in zip((bags.uniform, bags.recency), tables, strict=True)
            )
            yield uniform + recency, is_cold(bags, len(block)), features.users.content.inputs(block)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]."""
        return np.asarray(self.candidates(item_inputs(items, features.items)))

    def traced_query(
        self, features: FeatureTables, after_join: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Callable[[Mapping[str, Tensor]], Tensor], dict[str, Column], dict[str, Embeddings]]:
        """The query tower as `export_onnx` takes it, an example of its inputs, and the tables that it looks into.

        Inputs: `history` [n, length] int32 padded with 0; `uniform`, `recency` [n, length] float32; the user columns
        under their `input_names`. Output: [n, embedding_size + 1] float32; or `after_join` of the output of `join`.
        """
        of_items = self.history_table(all_items(features))
        tables = {name: table.numpy() for name, table in zip(("uniform_table", "recency_table"), of_items, strict=True)}
        columns = features.users.content.inputs(np.zeros(1, np.int32))
        example: dict[str, Column] = {
            "history": np.zeros((1, 1), np.int32),
            "uniform": np.zeros((1, 1), np.float32),
            "recency": np.zeros((1, 1), np.float32),
            **columns,
        }

        def query(inputs: Mapping[str, Tensor]) -> Tensor:
            uniform, recency = (
                tf.squeeze(tf.matmul(inputs[name][:, tf.newaxis], tf.gather(inputs[table], inputs["history"])), 1)
                for name, table in (("uniform", "uniform_table"), ("recency", "recency_table"))
            )
            is_empty = tf.reduce_sum(inputs["uniform"], axis=1, keepdims=True) <= 0
            user_columns = {name: inputs[name] for name in columns}
            if after_join is not None:
                return after_join(self.join(uniform + recency, is_empty, user_columns, None))
            return self.query(uniform + recency, is_empty, user_columns, None, training=False)

        return query, example, tables


def all_items(features: FeatureTables) -> ItemInputs:
    return item_inputs(np.arange(len(features.history.items) + 1, dtype=np.int32), features.items)


def sum_bags(bags: Tensor, table: Tensor) -> Tensor:
    """Dense [n_bags, dim]: weighted sums of rows of `table` [n_places, dim]; `bags` is sparse [n_bags, n_places]."""
    return tf.sparse.sparse_dense_matmul(bags, table)


def is_cold(bags: HistoryBags, n_bags: int) -> Mask:
    """[n_bags, 1] histories without items."""
    return np.asarray(np.bincount(bags.row, minlength=n_bags)[:, None] == 0)
