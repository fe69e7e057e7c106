"""What towers start from: item vectors in closed form, by a truncated singular value decomposition of the watches."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from belfry.dataset.interactions import Interactions
from belfry.layers.towers.network import TowerNetwork

Vectors = npt.NDArray[np.float32]

_SPREAD = 0.12  # root mean square of the numbers in a vector
_OVERSAMPLING = 16  # dimensions beside those asked for, which make these more exact
_N_ROUNDS = 4
_NOISE = 1e-5  # share of the largest singular value; below it directions are rounding noise


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
    start = np.random.default_rng(seed).normal(scale=_SPREAD, size=vectors.shape).astype(np.float32)
    rank = int(np.count_nonzero(values))
    found = vectors[:, :rank] * np.sqrt(values[:rank])
    if rank:
        start[:, :rank] = found * (_SPREAD / np.sqrt((found[history.item_counts > 0] ** 2).mean()))
    start[history.item_counts == 0] = 0
    return start


def truncated_svd(matrix: "sp.csr_matrix[np.float32]", size: int, *, seed: int) -> tuple[Vectors, Vectors]:
    """The `size` largest singular values, falling, and their right vectors [n_columns, size]; zeros beyond the rank.

    By subspace iteration from random vectors, in time that is linear in the entries. On one thread, because with more
    sums come in another order and equal seeds give other vectors.

    Source: Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 2011.
    """
    width = min(size + _OVERSAMPLING, *matrix.shape)
    transposed = matrix.T.tocsr()
    with threadpool_limits(1, "blas"):
        block = np.random.default_rng(seed).normal(size=(matrix.shape[1], width)).astype(np.float32)
        for _ in range(_N_ROUNDS):
            block = np.linalg.qr(transposed @ (matrix @ block))[0]
        _, values, rotation = np.linalg.svd(matrix @ block, full_matrices=False)
        block = block @ rotation.T
    n_real = min(int(np.count_nonzero(values > _NOISE * values[0])), size)
    found, vectors = np.zeros(size, np.float32), np.zeros((matrix.shape[1], size), np.float32)
    found[:n_real], vectors[:, :n_real] = values[:n_real], block[:, :n_real]
    return found, vectors
