"""The networks that `belfry.ranking.registry` names by kind; all give one logit for each candidate of padded lists.

Inputs are those of `Lists.inputs`, `pairs` as `Ensemble` makes them; `reads` names those that a network takes.
"""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.layers.backend import Tensor, keras, tf, tfrs
from belfry.layers.blocks import mlp
from belfry.layers.losses import MASKED
from belfry.layers.sequences import Normalization
from belfry.layers.steps.noise import Dropout
from belfry.ranking.lists import HISTORY_LENGTH
from belfry.ranking.listwise.config import (
    AttentionRankerConfig,
    CrossRankerConfig,
    DeepRankerConfig,
    NetworkRankerConfig,
    NeuralMfRankerConfig,
    TransformerRankerConfig,
    WideDeepRankerConfig,
)

Inputs: TypeAlias = Mapping[str, Tensor]


class Sizes(NamedTuple):
    """Sizes of a network's tables; users and items are numbered from 1, 0 is the unknown."""

    n_features: int
    n_users: int
    n_items: int


class RankerNetwork(keras.Model):  # type: ignore[misc]
    """Logits [n_lists, longest] of padded lists; `longest` is the length of the longest list."""

    reads: ClassVar[tuple[str, ...]] = ("pairs",)

    def __init__(self, config: NetworkRankerConfig, sizes: Sizes) -> None:
        super().__init__(name="ranker")
        self.drop = Dropout(config.dropout)
        self.head = keras.layers.Dense(1, name="head")

    def embedding(self, n_numbers: int, size: int, name: str) -> Tensor:
        """A table [n_numbers, size] of small random values."""
        start = keras.initializers.RandomNormal(stddev=0.05)
        return self.add_weight(name=name, shape=(n_numbers, size), initializer=start)


class DeepNetwork(RankerNetwork):
    """Features -> MLP."""

    def __init__(self, config: DeepRankerConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.mlp = mlp(config.widths, dropout=config.dropout, name="mlp")

    def call(self, inputs: Inputs, training: bool = False) -> Tensor:
        pairs = inputs["pairs"]
        rows = tf.reshape(pairs, [-1, pairs.shape[-1]])  # plain products, which ONNX Runtime joins with what follows
        return tf.reshape(self.head(self.mlp(rows, training=training)), tf.shape(pairs)[:2])


class CrossNetwork(RankerNetwork):
    """Features and the item's embedding -> cross layers beside an MLP.

    Low-rank: x_{l+1} = x_0 * (U V^T x_l + b) + x_l, with V of `projection_size` columns.

    Source: Wang et al., DCN V2, WWW 2021.
    """

    reads = ("pairs", "item")

    def __init__(self, config: CrossRankerConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.items = self.embedding(sizes.n_items + 1, config.embedding_size, "items")
        self.cross = [tfrs.layers.dcn.Cross(projection_dim=config.projection_size) for _ in range(config.cross_layers)]
        self.mlp = mlp(config.widths, dropout=config.dropout, name="mlp")

    def call(self, inputs: Inputs, training: bool = False) -> Tensor:
        item = self.drop(tf.gather(self.items, inputs["item"]), training=training)
        read = tf.concat([inputs["pairs"], item], axis=-1)
        width = read.shape[-1]
        flat = tf.reshape(read, [-1, width])  # cross layers take rows
        crossed = flat
        for layer in self.cross:
            crossed = layer(flat, crossed)
        crossed = tf.reshape(crossed, tf.shape(read))
        both = tf.concat([tf.ensure_shape(crossed, [None, None, width]), self.mlp(read, training=training)], axis=-1)
        return tf.squeeze(self.head(both), axis=-1)


class WideDeepNetwork(RankerNetwork):
    """A linear model and a bias of the item, beside an MLP over features and embeddings.

    Source: Cheng et al., Wide & deep learning for recommender systems, DLRS 2016.
    """

    reads = ("pairs", "item", "user")

    def __init__(self, config: WideDeepRankerConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.users = self.embedding(sizes.n_users + 1, config.embedding_size, "users")
        self.items = self.embedding(sizes.n_items + 1, config.embedding_size, "items")
        self.bias = self.embedding(sizes.n_items + 1, 1, "bias")
        self.wide = keras.layers.Dense(1, use_bias=False, name="wide")
        self.mlp = mlp(config.widths, dropout=config.dropout, name="mlp")

    def call(self, inputs: Inputs, training: bool = False) -> Tensor:
        features = inputs["pairs"]
        item = self.drop(tf.gather(self.items, inputs["item"]), training=training)
        user = self.drop(tf.gather(self.users, inputs["user"]), training=training)[:, tf.newaxis]
        parts = [features, item, user + tf.zeros_like(item), user * item]
        deep = self.head(self.mlp(tf.concat(parts, axis=-1), training=training))
        return tf.squeeze(self.wide(features) + tf.gather(self.bias, inputs["item"]) + deep, axis=-1)


class NeuralMfNetwork(RankerNetwork):
    """Ids alone: w . [p_u * q_i, MLP([p'_u, q'_i])] + bias_i. Source: He et al., NCF, WWW 2017."""

    reads = ("item", "user")

    def __init__(self, config: NeuralMfRankerConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        size = config.embedding_size
        self.users = self.embedding(sizes.n_users + 1, 2 * size, "users")
        self.items = self.embedding(sizes.n_items + 1, 2 * size, "items")
        self.bias = self.embedding(sizes.n_items + 1, 1, "bias")
        self.mlp = mlp(config.widths, dropout=config.dropout, name="mlp")

    def call(self, inputs: Inputs, training: bool = False) -> Tensor:
        item = self.drop(tf.gather(self.items, inputs["item"]), training=training)
        user = self.drop(tf.gather(self.users, inputs["user"]), training=training)[:, tf.newaxis] + tf.zeros_like(item)
        item_factors, item_deep = tf.split(item, 2, axis=-1)
        user_factors, user_deep = tf.split(user, 2, axis=-1)
        deep = self.mlp(tf.concat([item_deep, user_deep], axis=-1), training=training)
        both = tf.concat([item_factors * user_factors, deep], axis=-1)
        return tf.squeeze(self.head(both) + tf.gather(self.bias, inputs["item"]), axis=-1)


class AttentionNetwork(RankerNetwork):
    """MLP over the features, e_i of the candidate, and the sum over newest events j of a(i, j) e_j / sqrt(length).

    a(i, j) = w . swish(W_1 e_i + W_2 e_j + e_i . e_j). No softmax over events: the sum of the weights says how much of
    the history is like the candidate. Source: Zhou et al., Deep interest network for click-through rate prediction, KDD
    2018.
    """

    reads = ("pairs", "item", "history")

    def __init__(self, config: AttentionRankerConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.items = self.embedding(sizes.n_items + 1, config.embedding_size, "items")
        self.of_event = keras.layers.Dense(config.attention_units, name="of_event")
        self.of_item = keras.layers.Dense(config.attention_units, name="of_item")
        self.weigh = keras.layers.Dense(1, name="weigh")
        self.mlp = mlp(config.widths, dropout=config.dropout, name="mlp")

    def call(self, inputs: Inputs, training: bool = False) -> Tensor:
        item = self.drop(tf.gather(self.items, inputs["item"]), training=training)  # [n_lists, longest, size]
        events = tf.gather(self.items, inputs["history"])  # [n_lists, HISTORY_LENGTH, size]
        match = tf.matmul(item, events, transpose_b=True)[..., tf.newaxis]  # [n_lists, longest, HISTORY_LENGTH, 1]
        hidden = self.of_item(item)[:, :, tf.newaxis] + self.of_event(events)[:, tf.newaxis] + match
        weights = tf.squeeze(self.weigh(tf.nn.swish(hidden)), axis=-1)
        weights *= tf.cast(inputs["history"] > 0, tf.float32)[:, tf.newaxis]
        attended = tf.matmul(weights, events) / HISTORY_LENGTH**0.5
        read = tf.concat([inputs["pairs"], item, attended, attended * item], axis=-1)
        return tf.squeeze(self.head(self.mlp(read, training=training)), axis=-1)


class TransformerNetwork(RankerNetwork):
    """Candidates attend to one another through a few inducing points, so cost is linear in the length of the list.

    Source: Lee et al., Set transformer, ICML 2019; for lists: Pei et al., Personalized re-ranking for recommendation,
    RecSys 2019.
    """

    reads = ("pairs", "present")

    def __init__(self, config: TransformerRankerConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.enter = keras.layers.Dense(config.size, name="enter")
        self.context = [_InducedBlock(config, name=f"block{i}") for i in range(config.n_blocks)]
        self.norm = Normalization(name="norm")
        self.last = mlp((config.size,), dropout=config.dropout, name="mlp")

    def call(self, inputs: Inputs, training: bool = False) -> Tensor:
        steps = self.enter(inputs["pairs"])
        for block in self.context:
            steps = block(steps, inputs["present"], training=training)
        return tf.squeeze(self.head(self.last(self.norm(steps), training=training)), axis=-1)


class _InducedBlock(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, config: TransformerRankerConfig, name: str) -> None:
        super().__init__(name=name)
        start = keras.initializers.RandomNormal(stddev=0.1)
        self.points = self.add_weight(name="points", shape=(config.inducing_points, config.size), initializer=start)
        self.gather = _Attention(config, name="gather")
        self.spread = _Attention(config, name="spread")
        self.norms = [Normalization(name=f"norm{i}") for i in range(2)]
        self.drop = Dropout(config.dropout)
        self.inner = keras.layers.Dense(2 * config.size, activation="swish", name="inner")
        self.outer = keras.layers.Dense(config.size, name="outer")

    def call(self, steps: Tensor, present: Tensor, *, training: bool) -> Tensor:
        read = self.norms[0](steps)
        points = self.points[tf.newaxis] + tf.zeros_like(steps[:, :1, :1])  # [n_lists, n_points, size]
        summaries = self.gather(points, read, tf.where(present, 0.0, MASKED)[:, tf.newaxis, tf.newaxis])
        steps += self.drop(self.spread(read, summaries, 0.0), training=training)
        return steps + self.drop(self.outer(self.inner(self.norms[1](steps))), training=training)


class _Attention(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, config: TransformerRankerConfig, name: str) -> None:
        super().__init__(name=name)
        self.n_heads, self.size = config.n_heads, config.size
        self.queries, self.keys, self.values, self.mix = (
            keras.layers.Dense(config.size, name=part) for part in ("queries", "keys", "values", "mix")
        )

    def call(self, asking: Tensor, asked: Tensor, mask: Tensor) -> Tensor:
        """[n, n_asking, size] attention to `asked`; `mask` is added to logits [n, n_heads, n_asking, n_asked]."""
        queries, keys, values = (
            tf.transpose(
                tf.reshape(part, [-1, tf.shape(part)[1], self.n_heads, self.size // self.n_heads]), [0, 2, 1, 3]
            )
            for part in (self.queries(asking), self.keys(asked), self.values(asked))
        )
        logits = tf.matmul(queries, keys, transpose_b=True) / (self.size // self.n_heads) ** 0.5 + mask
        heads = tf.transpose(tf.matmul(tf.nn.softmax(logits), values), [0, 2, 1, 3])
        return self.mix(tf.reshape(heads, [-1, tf.shape(asking)[1], self.size]))


def empty_inputs(n_features: int, reads: tuple[str, ...]) -> dict[str, npt.NDArray[np.generic]]:
    """One list of one padded candidate: the shapes and types of the inputs."""
    inputs: dict[str, npt.NDArray[np.generic]] = {
        "pairs": np.zeros((1, 1, n_features), np.float32),
        "item": np.zeros((1, 1), np.int32),
        "user": np.zeros(1, np.int32),
        "history": np.zeros((1, HISTORY_LENGTH), np.int32),
        "present": np.ones((1, 1), np.bool_),
    }
    return {name: inputs[name] for name in reads}
