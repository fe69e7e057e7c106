"""Weights of a Keras model as a file of plain arrays, told apart by their order.

Keras's own HDF5 form tells weights of a layer apart by their names, and cannot hold two that share one.
"""

from pathlib import Path

from belfry.dataset.errors import ArtifactError
from belfry.layers.backend import keras
from belfry.layers.saved.files import Array, ReadablePath, read_arrays, write_arrays

WEIGHTS_FILE = "weights.npz"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write all weights, trainable or not; nothing in the file can run code."""
    write_arrays(path, {str(place): values for place, values in enumerate(model.get_weights())})


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill a model, whose weights are all made, with what `save_weights` wrote.

    Raises:
        ArtifactError: the file holds other weights than the model has; names both counts or both shapes.
    """
    values = read_weights(model, path)
    for weight, value in zip(model.weights, values, strict=True):
        if tuple(weight.shape) != value.shape:
            raise ArtifactError(
                f"{path}: weight {weight.name!r} has the shape {value.shape}, the model's has {tuple(weight.shape)}; "
                "train again on these data"
            )
    model.set_weights(values)


def read_weights(model: keras.Model, path: ReadablePath) -> list[Array]:
    """What `save_weights` wrote of such a model, of whatever sizes.

    Raises:
        ArtifactError: there are more or fewer weights than the model has; names both counts.
    """
    values = list(read_arrays(path).values())
    if len(values) != len(model.weights):
        raise ArtifactError(f"{path}: holds {len(values)} weights, the model has {len(model.weights)}; train again")
    return values
