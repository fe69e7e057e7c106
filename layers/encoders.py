"""FeatureEncoder: feature columns -> one embedding."""

from collections.abc import Mapping
from dataclasses import dataclass

from belfry.dataset.features import FeatureColumns
from belfry.layers.backend import Tensor, keras, tf


@dataclass(frozen=True)
class ColumnShapes:
    """`input_names` of feature columns, the rows that an embedding of categories needs, and the length of vectors."""

    categorical: tuple[tuple[str, int], ...]
    multi_valued: tuple[tuple[str, int], ...]
    numeric: tuple[str, ...]
    vectors: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, columns: FeatureColumns) -> "ColumnShapes":
        called, sizes = columns.input_names, columns.sizes
        return cls(
            tuple((called[name], sizes[name]) for name in columns.categorical),
            tuple((called[name], sizes[name]) for name in columns.multi_valued),
            tuple(called[name] for name in columns.numeric),
            tuple((called[name], values.shape[1]) for name, values in columns.vectors.items()),
        )

    def __bool__(self) -> bool:
        return bool(self.categorical or self.multi_valued or self.numeric or self.vectors)


class FeatureEncoder(keras.layers.Layer):  # type: ignore[misc]
    """Sum of one embedding per feature: of a category, the mean of several, a number times one, or a vector projected.

    As `ItemEncoder`, but dense, so that it has an ONNX form. A missing feature (category 0) adds nothing.
    """

    def __init__(self, columns: ColumnShapes, *, embedding_size: int, name: str) -> None:
        super().__init__(name=name)

        def tables(*named: tuple[str, int]) -> dict[str, Tensor]:
            return {
                key: self.add_weight(
                    name=f"{name}/{key}",
                    shape=(rows, embedding_size),
                    initializer=keras.initializers.RandomNormal(stddev=0.05),
                )
                for key, rows in named
            }

        self.tables = tables(*columns.categorical, *columns.multi_valued)
        self.projections = tables(*columns.vectors)
        self.categorical, self.multi_valued = (
            tuple(name for name, _ in named) for named in (columns.categorical, columns.multi_valued)
        )
        self.numeric = columns.numeric
        if self.numeric:
            self.slopes = self.add_weight(
                name=f"{name}/numeric",
                shape=(len(self.numeric), embedding_size),
                initializer=keras.initializers.RandomNormal(stddev=0.05),
            )

    def call(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """[n, embedding_size] float32.

        Args:
            inputs: each column of `FeatureColumns.inputs`: categorical [n] int32, multi-valued [n, n_values] int32
                padded with 0, numeric [n] and vectors [n, dim] float32.
        """
        parts = [self._look_up(key, inputs[key]) for key in self.categorical]
        for key in self.multi_valued:
            present = tf.cast(inputs[key] > 0, tf.float32)  # [n, n_values]
            n_present = tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
            parts.append(tf.reduce_sum(self._look_up(key, inputs[key]), axis=1) / n_present)
        if self.numeric:
            parts.append(tf.matmul(tf.stack([inputs[key] for key in self.numeric], axis=1), self.slopes))
        parts += [tf.matmul(inputs[key], projection) for key, projection in self.projections.items()]
        return tf.add_n(parts)

    def _look_up(self, key: str, numbers: Tensor) -> Tensor:
        """Rows of a table; zeros for number 0, the unknown."""
        known = tf.cast(numbers > 0, tf.float32)[..., tf.newaxis]
        return tf.gather(self.tables[key], numbers) * known
