"""What towers start from: item vectors in closed form, by a truncated singular value decomposition of the watches."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import truncated_svd
from belfry.layers.towers.network import TowerNetwork

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
    weights = (1 / np.sqrt(np.maximum(history.item_counts, 1))).astype(np.float32)
    values, vectors = truncated_svd(sp.csr_matrix(history.matrix @ sp.diags(weights)), size, seed=seed)
    start = np.random.default_rng(seed).normal(scale=_SPREAD, size=(len(vectors), size)).astype(np.float32)
    if values[0] > 0:
        found = vectors * np.sqrt(values).astype(np.float32)
        scale = np.sqrt((found[history.item_counts > 0] ** 2).mean())
        start[:, : len(values)] = found * (_SPREAD / scale)
    start[history.item_counts == 0] = 0
    return start
