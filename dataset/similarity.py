"""Which items are watched by the same users: shared by the retrieval models and the ranker's features."""

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

# A block of 4M stored similarities takes about 32 MiB, as values and columns.
_STORED_PER_BLOCK = 1 << 22


def cosine_neighbours(
    matrix: "scipy.sparse.csr_matrix[np.float32]", *, n_neighbours: int, shrink: float
) -> "scipy.sparse.csr_matrix[np.float32]":
    """Each item's nearest items by the cosine of who watched them.

    cosine(i, j) = x_i . x_j / (|x_i| |x_j| + shrink), where x_i is column i of `matrix`. `shrink` lowers the cosine of
    pairs that few users have both watched. Computed in blocks of items, so a table of all pairs never exists.

    Args:
        matrix: [n_users + 1, n_items + 1], 0 where there is nothing (`Interactions.matrix`, or weighted).
        n_neighbours: kept for each item: positive cosines only, never itself; of equal ones the lower item number.
        shrink: >= 0, in the unit of the product of two norms.

    Returns:
        [n_items + 1, n_items + 1] float32, row i holding the neighbours of item i, columns rising.
    """
    items = matrix.T.tocsr()  # [n_items + 1, n_users + 1]
    norms = np.sqrt(np.asarray(items.multiply(items).sum(axis=1), dtype=np.float64)).ravel()
    n_items = items.shape[0]
    n_rows = max(1, _STORED_PER_BLOCK // n_items)
    parts = [
        _nearest(items[first : first + n_rows] @ matrix, first, norms, n_neighbours, shrink)
        for first in range(0, n_items, n_rows)
    ]
    return scipy.sparse.csr_matrix(scipy.sparse.vstack(parts))


def _nearest(
    dots: "scipy.sparse.csr_matrix[np.float32]",
    first: int,
    norms: npt.NDArray[np.float64],
    n_neighbours: int,
    shrink: float,
) -> "scipy.sparse.csr_matrix[np.float32]":
    """The `n_neighbours` nearest in each row of `dots`, whose row 0 is item number `first`."""
    dots.sort_indices()
    rows = np.repeat(np.arange(dots.shape[0]), np.diff(dots.indptr))
    cosines = (dots.data / (norms[first + rows] * norms[dots.indices] + shrink)).astype(np.float32)
    cosines[(dots.indices == first + rows) | (dots.data <= 0)] = -np.inf
    kept = []
    for start, stop in zip(dots.indptr[:-1], dots.indptr[1:], strict=True):
        nearest = np.argsort(-cosines[start:stop], kind="stable")[:n_neighbours] + start
        kept.append(np.sort(nearest[cosines[nearest] > -np.inf]))
    chosen = np.concatenate(kept)
    return scipy.sparse.csr_matrix((cosines[chosen], (rows[chosen], dots.indices[chosen])), shape=dots.shape)


def ease_weights(matrix: "scipy.sparse.csr_matrix[np.float32]", *, l2: float) -> npt.NDArray[np.float32]:
    """[n_items + 1, n_items + 1] float32 item-to-item weights B of EASE; row u of X B scores every item for user u.

    B minimises |X - X B|^2 + l2 |B|^2 with zeros on the diagonal. In closed form

        P = (X^T X + l2 I)^-1,    B = I - P diag(1 / diag(P))

    Cubic in the number of items, so callers set a limit.

    Args:
        matrix: X, [n_users + 1, n_items + 1], 1 where a user watched an item.
        l2: > 0.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019.
    """
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += l2
    inverse = np.linalg.inv(gram)  # P
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.asarray(weights, np.float32)
