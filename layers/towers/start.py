"""What towers start from: item vectors in closed form, by a singular value decomposition; or earlier weights."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import ArtifactError
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import singular_vectors
from belfry.dataset.vocabulary import Numbers
from belfry.layers.backend import Tensor, keras
from belfry.layers.saved.files import Array
from belfry.layers.towers.network import TowerNetwork
from belfry.layers.towers.ridge import ridge

Vectors = npt.NDArray[np.float32]

_SPREAD = 0.12  # root mean square of the numbers in a vector


def start_from_watches(network: TowerNetwork, history: Interactions, *, seed: int) -> None:
    """Give all encoders of items the vectors of `item_start`; features add nothing yet."""
    vectors = item_start(history, network.config.embedding_size, seed=seed)
    for encoder in network.item_encoders:
        encoder.start_from(vectors)


def item_start(history: Interactions, size: int, *, seed: int) -> Vectors:
    """[n_items + 1, size] V sqrt(S), scaled, where X D^-1/2 ~ U S V^T is truncated, X the watches, D the items' counts.

    So the dot product of two items goes by how many users watched both, for their popularity. Dimensions beyond the
    rank of X are noise, for two towers that are both 0 there would never leave it.
    """
    values, vectors = singular_vectors(history, size, by_count=True)
    start = np.random.default_rng(seed).normal(scale=_SPREAD, size=(len(vectors), size)).astype(np.float32)
    if values[0] > 0:
        found = vectors * np.sqrt(values).astype(np.float32)
        scale = np.sqrt((found[history.item_counts > 0] ** 2).mean())
        start[:, : len(values)] = found * (_SPREAD / scale)
    start[history.item_counts == 0] = 0
    return start


def start_from_weights(
    network: keras.Model,
    of_items: Sequence[Tensor],
    values: Sequence[Array],
    rows: Numbers,
    history: Interactions,
    *,
    seed: int,
) -> None:
    """Give a network the weights of an earlier one, each item its row of then.

    A watched item without a row gets z . B, where z is its vector of `item_start`, the log of its events and 1, and B
    the ridge regression of the other items' rows on theirs: near the items that the same users watch.

    Args:
        of_items: the weights of `network` that have a row for each item, [n_items + 1, dim].
        values: of the weights of the earlier network, in their order.
        rows: [n_items + 1] the row of each item in them; 0 where it has none.

    Raises:
        ArtifactError: the earlier network is of another shape, or holds what is no number.
    """
    is_placed = (rows == 0) & (history.item_counts > 0)
    if is_placed.any():
        found = item_start(history, network.config.embedding_size, seed=seed) / _SPREAD
        of_count = np.log1p(history.item_counts)
        z = np.column_stack([found, of_count, np.ones_like(of_count)]).astype(np.float32)
    for weight, value in zip(network.weights, values, strict=True):
        is_of_items = any(weight is one for one in of_items)
        shape = (len(rows), *value.shape[1:]) if is_of_items else value.shape
        is_cut = is_of_items and rows.max() >= len(value)
        if tuple(weight.shape) != shape or is_cut or not np.isfinite(value).all():
            raise ArtifactError(
                f"earlier weight {weight.name!r} has the shape {value.shape} or holds NaN, wanted "
                f"{tuple(weight.shape)}; train from nothing"
            )
        if is_of_items:
            value = value[rows]
            if is_placed.any():
                known = np.where(rows > 0, np.sqrt(history.item_counts), 0)
                value[is_placed] = z[is_placed] @ ridge(z, value, known)
        weight.assign(value)
