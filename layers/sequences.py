"""Encoders of padded histories: one vector per position, made of that event and the earlier ones alone.

Windows end in their last column and are padded in front. No event reads padding, and a padded position reads only
itself. So the padding before a first event is the start token: it predicts that event, and it is the query of an empty
history. Plain operators only, so that every encoder has an ONNX form.
"""

from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.losses import MASKED
from belfry.layers.steps.noise import Dropout

_EPSILON = 1e-6  # of the variance, as in Keras: keeps the division finite for equal inputs
_HOUR_S, _DAY_S = 3600, 86400
AGE_EDGES_S = (60, 600, _HOUR_S, 6 * _HOUR_S, *(days * _DAY_S for days in (1, 3, 7, 14, 30, 60, 120, 365, 730, 1460)))
N_AGES = len(AGE_EDGES_S) + 1


def buckets(values: Tensor, edges: Tensor) -> Tensor:
    """int32, shaped as `values`: how many of the rising `edges` are <= the value; exact in every runtime."""
    return sum(tf.cast(values >= edge, tf.int32) for edge in tf.unstack(edges))


def ages(since_s: Tensor, until_s: Tensor) -> Tensor:
    """Bucket 0 to `N_AGES` - 1 of the time between two events, below a minute to years; arguments are UTC seconds."""
    return buckets(until_s - since_s, tf.constant(AGE_EDGES_S, tf.int64))


class Normalization(keras.layers.Layer):  # type: ignore[misc]
    """Layer normalisation of plain operators: that of Keras runs a batch normalisation, which has no ONNX form."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(shape[-1],), initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(centred**2, axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + _EPSILON) * self.scale + self.shift


class Calendar(keras.layers.Layer):  # type: ignore[misc]
    """[..., size] for times [...] in UTC seconds: embedding of the hour of the day + embedding of the weekday."""

    def __init__(self, size: int, name: str) -> None:
        super().__init__(name=name)
        self.hours = keras.layers.Embedding(24, size)
        self.weekdays = keras.layers.Embedding(7, size)

    def call(self, time_s: Tensor) -> Tensor:
        return self.hours(time_s // _HOUR_S % 24) + self.weekdays((time_s // _DAY_S + 3) % 7)


class AttentionEncoder(keras.layers.Layer):  # type: ignore[misc]
    """Causal self-attention in gated blocks; position enters as learned biases, by distance and, if asked, by age.

    The weight of event j at position i is softmax_j(q_i . k_j / sqrt(size / n_heads) + distance[i - j] + age[i, j]). A
    bias on the distance, unlike an embedding per slot, means the same at every position and in windows of any length,
    in training and in serving.

    Source: Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018; the biases:
    Zhai et al., Actions speak louder than words, ICML 2024.
    """

    def __init__(self, *, length: int, n_blocks: int, n_heads: int, dropout: float, reads_time: bool) -> None:
        """`length` is that of the longest window; `n_heads` must divide the size of the steps."""
        super().__init__(name="attention")
        self.reads_time = reads_time
        self.blocks = [
            _AttentionBlock(length, n_heads, dropout=dropout, reads_time=reads_time, name=f"block{i}")
            for i in range(n_blocks)
        ]
        self.norm = Normalization(name="norm")

    def call(
        self, steps: Tensor, is_event: Tensor, time_s: Tensor, request_s: Tensor, start: Tensor, *, training: bool
    ) -> Tensor:
        """[n, length, size].

        Args:
            steps: [n, length, size] float32, the input of each event; ignored where padded.
            is_event: [n, length] bool, False where padded.
            time_s: [n, length] int64, UTC time of each event.
            request_s: [n, length] int64, request time of each position.
            start: [n, size] float32, replaces padding.
        """
        steps = tf.where(is_event[..., tf.newaxis], steps, start[:, tf.newaxis])
        place = tf.range(tf.shape(steps)[1])
        back = place[:, tf.newaxis] - place
        is_read = (is_event[:, tf.newaxis] & (back > 0)) | (back == 0)  # [n, length, length]
        # [n, length, length] age of each event at the request time of each position
        age = ages(time_s[:, tf.newaxis], request_s[..., tf.newaxis]) if self.reads_time else None
        for block in self.blocks:
            steps = block(steps, is_read, tf.maximum(back, 0), age, training=training)
        return self.norm(steps)


class _AttentionBlock(keras.layers.Layer):  # type: ignore[misc]
    """x + g(x) * attention(norm(x)), then x + g'(x) * feed_forward(norm'(x)); g = sigmoid(W norm(x)).

    The feed-forward layer is W (swish(A x) * B x). Both branches start at 0, so that an untrained block gives what it
    reads.

    Source: the gates: Borisyuk et al., From features to transformers, KDD 2025 (LiGR), which Tikhonovich et al.,
    eSASRec, RecSys 2025, found to hold; the feed-forward layer: Shazeer, GLU variants improve transformer, 2020.
    """

    def __init__(self, length: int, n_heads: int, *, dropout: float, reads_time: bool, name: str) -> None:
        super().__init__(name=name)
        self.n_heads = n_heads
        self.norms = [Normalization(name=f"norm{i}") for i in range(2)]
        self.drop = Dropout(dropout)
        self.distance = self.add_weight(name="distance", shape=(n_heads, length), initializer="zeros")
        self.age = self.add_weight(name="age", shape=(N_AGES, n_heads), initializer="zeros") if reads_time else None

    def build(self, shape: tuple[int | None, int | None, int]) -> None:
        self.size = shape[-1]
        self.projection = keras.layers.Dense(4 * self.size, name="projection")
        self.mix = keras.layers.Dense(self.size, kernel_initializer="zeros", name="mix")
        self.inner = keras.layers.Dense(5 * self.size, name="inner")
        self.outer = keras.layers.Dense(self.size, kernel_initializer="zeros", name="outer")

    def call(self, steps: Tensor, is_read: Tensor, back: Tensor, age: Tensor | None, *, training: bool) -> Tensor:
        attended = self._attend(self.norms[0](steps), is_read, back, age, training=training)
        steps = steps + self.drop(attended, training=training)
        gate, opened, carried = tf.split(self.inner(self.norms[1](steps)), [self.size, 2 * self.size, 2 * self.size], 2)
        forward = tf.sigmoid(gate) * self.outer(tf.nn.swish(opened) * carried)
        return steps + self.drop(forward, training=training)

    def _attend(self, steps: Tensor, is_read: Tensor, back: Tensor, age: Tensor | None, *, training: bool) -> Tensor:
        n_heads, width = self.n_heads, self.size // self.n_heads
        length = tf.shape(steps)[1]
        projected = self.projection(steps)
        parts = tf.reshape(projected[..., : 3 * self.size], [-1, length, 3 * n_heads, width])
        queries, keys, values = tf.split(tf.transpose(parts, [0, 2, 1, 3]), 3, axis=1)  # [n, n_heads, length, width]
        logits = tf.matmul(queries, keys, transpose_b=True) / width**0.5
        logits += tf.gather(self.distance, back, axis=1)
        if self.age is not None:
            logits += tf.transpose(tf.gather(self.age, age), [0, 3, 1, 2])
        shares = tf.nn.softmax(tf.where(is_read[:, tf.newaxis], logits, MASKED))
        heads = tf.matmul(self.drop(shares, training=training), values)
        mixed = self.mix(tf.reshape(tf.transpose(heads, [0, 2, 1, 3]), [-1, length, self.size]))
        return tf.sigmoid(projected[..., 3 * self.size :]) * mixed


class RecurrentEncoder(keras.layers.Layer):  # type: ignore[misc]
    """A gated recurrent unit, written out step by step; its state decays with the time until the request.

    h_t = z * h_{t-1} + (1 - z) * tanh(W x_t + r * U h_{t-1}), z and r being sigmoids, linear in x_t and h_{t-1}. The
    output is linear in h_t * 2 sigmoid(decay[age]).

    Source: Hidasi et al., Session-based recommendations with recurrent neural networks, ICLR 2016; the decay: Che et
    al., Recurrent neural networks for multivariate time series with missing values, Scientific Reports 2018.
    """

    def __init__(self, size: int, *, dropout: float, reads_time: bool) -> None:
        super().__init__(name="recurrent")
        self.size = size
        self.inputs = keras.layers.Dense(3 * size, name="inputs")
        self.recurrent = keras.layers.Dense(3 * size, kernel_initializer="orthogonal", name="recurrent")
        self.decay = self.add_weight(name="decay", shape=(N_AGES, size), initializer="zeros") if reads_time else None
        self.drop = Dropout(dropout)
        self.output_layer = keras.layers.Dense(size, name="output")

    def call(
        self, steps: Tensor, is_event: Tensor, time_s: Tensor, request_s: Tensor, start: Tensor, *, training: bool
    ) -> Tensor:
        """[n, length, size]; the arguments are those of `AttentionEncoder`; `start` is the first state."""
        state, states = start, []
        for step, is_new in zip(
            tf.unstack(self.inputs(steps), axis=1), tf.unstack(is_event[..., tf.newaxis], axis=1), strict=True
        ):
            state = tf.where(is_new, self._next(step, state), state)
            states.append(state)
        read = tf.stack(states, axis=1)
        if self.decay is not None:
            remaining = 2 * tf.sigmoid(tf.gather(self.decay, ages(time_s, request_s)))  # 1 before training
            read *= tf.where(is_event[..., tf.newaxis], remaining, 1.0)
        return self.output_layer(self.drop(read, training=training))

    def _next(self, step: Tensor, state: Tensor) -> Tensor:
        """[n, size] the state after an event; `step` [n, 3 * size] is the event's input to each gate."""
        update, reset, fresh = tf.split(step, 3, axis=1)
        kept_update, kept_reset, kept_fresh = tf.split(self.recurrent(state), 3, axis=1)
        share = tf.sigmoid(update + kept_update)
        fresh = tf.tanh(fresh + tf.sigmoid(reset + kept_reset) * kept_fresh)
        return share * state + (1 - share) * fresh
