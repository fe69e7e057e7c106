"""Weights as plain arrays: those of equal names too; what does not fit is refused."""

from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.layers.backend import keras
from belfry.layers.weights import load_weights, save_weights


class Twins(keras.Model):  # type: ignore[misc]
    """Weights that share one name, and a number that is not trained."""

    def __init__(self, shapes: list[tuple[int, ...]]) -> None:
        super().__init__(name="twins")
        self.twins = [self.add_weight(name="weight", shape=shape, initializer="uniform") for shape in shapes]
        self.edges = self.add_weight(name="edges", shape=(2,), dtype="int64", trainable=False, initializer="zeros")
        self.edges.assign([1 << 40, -3])


def test_weights_of_equal_names_come_back(tmp_path: Path) -> None:
    model, other = Twins([(3, 2), (3, 2)]), Twins([(3, 2), (3, 2)])
    other.edges.assign([0, 0])
    save_weights(model, tmp_path / "weights.npz")
    load_weights(other, tmp_path / "weights.npz")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 2)], r"weights\.npz: holds 3 weights, the model has 2; train again"),
        ([(3, 2), (4, 2)], r"weights\.npz: weight 'weight:0' has the shape \(3, 2\), the model's has \(4, 2\)"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, shapes: list[tuple[int, ...]], message: str) -> None:
    save_weights(Twins([(3, 2), (3, 2)]), tmp_path / "weights.npz")
    with pytest.raises(ArtifactError, match=message):
        load_weights(Twins(shapes), tmp_path / "weights.npz")
