"""DeepRanker: cross layers and an MLP over pair features, trained on whole candidate lists."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset.errors import DivergenceError
from layers.backend import Tensor, keras, tf
from layers.blocks import cross_layers, mlp
from layers.export import export_onnx
from layers.losses import MASKED, softmax_over_candidates
from ranking.base import Matrix, Scores
from ranking.config import DeepRankerConfig
from ranking.examples import Examples

WEIGHTS_FILE = "ranker.weights.h5"
_ROWS_PER_BLOCK = 1 << 16

log = logging.getLogger(__name__)


class DeepRanker:
    """One logit for each row of pair features."""

    def __init__(self, config: DeepRankerConfig) -> None:
        self.config = config

    def fit(
        self,
        examples: Examples,
        *,
        seed: int,
        validation: Examples,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> "DeepRanker":
        """Train from nothing on `examples`, keep the weights of the epoch best on `validation`, return itself.

        Raises:
            DivergenceError: a feature or the loss is not finite; the message names it.
        """
        config = self.config
        bad = np.flatnonzero(~np.isfinite(examples.pairs).all(axis=0))
        if len(bad):
            raise DivergenceError(f"ranker: feature {examples.names[bad[0]]!r} is not finite in some rows")
        generator = np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        self.names = examples.names
        self._layers = _RankerLayers(len(examples.names), config)
        self._layers.adapt(examples.pairs)
        n_steps = -(-len(examples) // config.batch_lists) * config.epochs
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, n_steps)
        step = self._make_step(keras.optimizers.Adam(schedule))
        lengths = np.diff(examples.starts)
        places = np.arange(int(lengths.max()))
        best_score, best_weights = -np.inf, self._layers.get_weights()
        for epoch in range(1, config.epochs + 1):
            order = generator.permutation(len(examples))
            losses = []
            for first in range(0, len(order), config.batch_lists):
                lists = order[first : first + config.batch_lists]
                present = places < lengths[lists, None]  # [n_lists, longest]
                rows = np.where(present, examples.starts[lists, None] + places, 0)
                losses.append(step(examples.pairs[rows], examples.labels[rows] * present, present))
            loss = float(np.mean(losses))
            if not np.isfinite(loss):
                raise DivergenceError(f"ranker: loss is {loss} in epoch {epoch}; lower ranker.learning_rate")
            score = float(validation.ndcg(self.score_pairs(validation.pairs)).mean())
            log.info("ranker: epoch %d, loss %.4f, validation NDCG@10 %.4f", epoch, loss, score)
            if score > best_score:
                best_score, best_weights = score, self._layers.get_weights()
            progress(epoch, config.epochs)
        self._layers.set_weights(best_weights)
        return self

    def score_pairs(self, pairs: Matrix) -> Scores:
        """[n_rows] float32 logits."""
        blocks = [np.zeros(0, np.float32)]
        for first in range(0, len(pairs), _ROWS_PER_BLOCK):
            blocks.append(self._layers(pairs[first : first + _ROWS_PER_BLOCK], training=False).numpy())
        return np.concatenate(blocks)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"config": self.config.model_dump(mode="json"), "names": self.names}, indent=2)
        (directory / "ranker.json").write_text(text)
        self._layers.save_weights(directory / WEIGHTS_FILE)

    @classmethod
    def load(cls, directory: Path) -> "DeepRanker":
        """What `save` wrote: built from its config, then filled with weights."""
        saved = json.loads((directory / "ranker.json").read_text())
        model = cls(DeepRankerConfig(**saved["config"]))
        model.names = tuple(saved["names"])
        model._layers = _RankerLayers(len(model.names), model.config)
        model._layers.load_weights(directory / WEIGHTS_FILE)
        return model

    def export(self, path: Path) -> None:
        """Write the ranker as an ONNX graph: `pairs` [n, n_features] float32 in, `score` [n] float32 out."""
        export_onnx(
            lambda inputs: self._layers(inputs["pairs"], training=False),
            {"pairs": np.zeros((1, len(self.names)), np.float32)},
            path,
            output="score",
        )

    def _make_step(self, optimizer: keras.optimizers.Optimizer) -> Callable[..., Tensor]:
        layers, objective = self._layers, self.config.objective

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(pairs: Tensor, labels: Tensor, present: Tensor) -> Tensor:
            """`pairs` [n_lists, longest, n_features], `labels` and `present` [n_lists, longest]."""
            with tf.GradientTape() as tape:
                flat = tf.reshape(pairs, [-1, pairs.shape[-1]])
                logits = tf.reshape(layers(flat, training=True), tf.shape(labels))
                if objective == "softmax":
                    loss = softmax_over_candidates(tf.where(present, logits, MASKED), labels)
                else:
                    losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float32), logits)
                    loss = tf.reduce_mean(tf.boolean_mask(losses, present))
            gradients = tape.gradient(loss, layers.trainable_variables)
            optimizer.apply_gradients(zip(gradients, layers.trainable_variables, strict=True))
            return loss

        return step  # type: ignore[no-any-return]


class _RankerLayers(keras.Model):  # type: ignore[misc]
    """Standardised features and their signed logs -> cross layers -> MLP -> logit."""

    def __init__(self, n_features: int, config: DeepRankerConfig) -> None:
        super().__init__(name="ranker")
        self.centre = self.add_weight(name="centre", shape=(n_features,), trainable=False, initializer="zeros")
        self.scale = self.add_weight(name="scale", shape=(n_features,), trainable=False, initializer="ones")
        self.cross = cross_layers(config.cross_layers, projection_size=config.projection_size)
        self.mlp = mlp(config.widths, dropout=config.dropout, name="mlp")
        self.head = keras.layers.Dense(1, name="head")
        self(np.zeros((1, n_features), np.float32))  # makes the weights

    def adapt(self, pairs: Matrix) -> None:
        """Take centre and scale of the features from the examples."""
        deviation: npt.NDArray[np.float32] = pairs.std(axis=0)
        self.centre.assign(pairs.mean(axis=0))
        self.scale.assign(np.where(deviation > 1e-6, deviation, 1))

    def call(self, pairs: Tensor, training: bool = False) -> Tensor:
        """[n] float32; `pairs` [n, n_features] float32."""
        standard = tf.clip_by_value((pairs - self.centre) / self.scale, -6.0, 6.0)
        inputs = tf.concat([standard, tf.sign(standard) * tf.math.log(1.0 + tf.abs(standard))], axis=1)
        crossed = inputs
        for layer in self.cross:
            crossed = layer(inputs, crossed)
        return tf.squeeze(self.head(self.mlp(crossed, training=training)), axis=1)
