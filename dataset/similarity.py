"""Which items are watched by the same users, or after one another: shared by retrieval and the ranker's features."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.interactions import Interactions

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

# Of products; as values and columns these take at most 16 MiB, which caches like, and less where several fall into one
# cell. More than a catalogue has items, or blocks would cost more than their sums.
_SUMS_PER_BLOCK = 1 << 21
_USERS_PER_BLOCK = 1 << 16  # whose projections a factorisation holds at once
_ROWS_PER_QR = 1 << 13  # the double precision of LAPACK, in several copies, stays in the cache
_OVERSAMPLING = 32  # dimensions that the randomised range has beyond the rank
_POWER_STEPS = 3
_EPSILON = 1e-5  # of the largest singular value: the direction of a smaller one is rounding, another on every machine


def once_for_a_history(
    compute: Callable[Concatenate[Interactions, P], ResultT],
) -> Callable[Concatenate[Interactions, P], ResultT]:
    """`compute`, whose result is kept with the history: a source and the pair features ask for the same one.

    Whoever asks must not change the result.
    """

    @wraps(compute)
    def remembered(history: Interactions, /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        key = (compute.__name__, args, tuple(sorted(kwargs.items())))
        if key not in history.computed:
            history.computed[key] = compute(history, *args, **kwargs)
        return cast(ResultT, history.computed[key])

    return remembered


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
    n_sums = _n_products(matrix)

    def blocks() -> Iterator["scipy.sparse.csr_matrix[np.float32]"]:
        for first, dots in _products_of_others(items, matrix, n_sums):
            row = first + np.repeat(np.arange(dots.shape[0]), np.diff(dots.indptr))
            dots.data = (dots.data / (norms[row] * norms[dots.indices] + shrink)).astype(np.float32)
            yield dots

    return largest_of_blocks(blocks(), n_neighbours, n_sums)


def _n_products(matrix: "scipy.sparse.csr_matrix[np.float32]") -> npt.NDArray[np.int64]:
    """[n_items + 1] how many products make each row of `matrix.T @ matrix`."""
    lengths = np.diff(matrix.indptr).astype(np.int64)
    n_sums = np.bincount(matrix.indices, np.repeat(lengths, lengths), minlength=matrix.shape[1])
    return n_sums.astype(np.int64)


def _products_of_others(
    items: "scipy.sparse.csr_matrix[np.float32]",
    matrix: "scipy.sparse.csr_matrix[np.float32]",
    n_sums: npt.NDArray[np.int64],
) -> Iterator[tuple[int, "scipy.sparse.csr_matrix[np.float32]"]]:
    """`items @ matrix` in blocks of rows, each with the number of its first row; positive cells of different items."""
    for first, stop in blocks_of_sums(n_sums):
        dots = items[first:stop] @ matrix
        row = np.repeat(np.arange(dots.shape[0]), np.diff(dots.indptr))
        kept = (dots.indices != first + row) & (dots.data > 0)
        start = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=dots.shape[0]))])
        yield first, scipy.sparse.csr_matrix((dots.data[kept], dots.indices[kept], start), shape=dots.shape)


def item_rarity(history: Interactions) -> npt.NDArray[np.float64]:
    """[n_items + 1] log(1 + N / (1 + n_i)): N users, of whom n_i watched item i. What few watch tells more."""
    rarity: npt.NDArray[np.float64] = np.log1p(len(history.users) / (1 + history.item_counts))
    return rarity


@once_for_a_history
def bm25_neighbours(
    history: Interactions, *, n_neighbours: int, k1: float = 1.2, b: float = 0.2
) -> "scipy.sparse.csr_matrix[np.float32]":
    """[n_items + 1, n_items + 1] float32: how much item i, watched, speaks for item j, row i and column j,

        s_ij = sum over users u of x_ui x_uj,    x_ui = r_i c (k1 + 1) / (c + k1 (1 - b + b l_u / l))

    where r is `item_rarity`, c the weight of the watch, l_u the number of items of u, and l its mean. An item does not
    speak for itself.

    Args:
        n_neighbours: kept for each watched item.

    Source: Robertson and Zaragoza, The probabilistic relevance framework: BM25 and beyond, 2009; for items as in the
    library implicit.
    """
    matrix = history.weighted_matrix.copy()
    lengths = np.diff(matrix.indptr)
    norm = k1 * (1 - b + b * lengths / max(float(lengths[1:].mean()), 1))
    share = matrix.data * (k1 + 1) / (matrix.data + np.repeat(norm, lengths))
    matrix.data = (share * item_rarity(history)[matrix.indices]).astype(np.float32)
    n_sums = _n_products(matrix)
    blocks = (dots for _, dots in _products_of_others(matrix.T.tocsr(), matrix, n_sums))
    return largest_of_blocks(blocks, n_neighbours, n_sums)


@once_for_a_history
def sequential_rules(
    history: Interactions, *, n_steps: int, backward: float, n_neighbours: int
) -> "scipy.sparse.csr_matrix[np.float32]":
    """[n_items + 1, n_items + 1] float32: how much item i, watched, speaks for item j as a next one, row i, column j,

        s_ij = r_i r_j sum over pairs of events of one user, of i and of j, of w / sqrt(steps between them)

    where r is `item_rarity`, and w is 1 where j came after i, `backward` where it came before. An item does not follow
    itself.

    Args:
        n_steps: pairs of events further apart do not count.
        n_neighbours: kept for each watched item.

    Source: Ludewig and Jannach, Evaluation of session-based recommendation algorithms, UMUAI 2018 (sequential rules),
    which weigh by 1 / steps; rarity and the way back are ours.
    """
    order, n_numbers, rarity = history.by_user.order, len(history.items) + 1, item_rarity(history)
    n_steps = min(n_steps, len(order))
    steps = np.arange(1, n_steps + 1)
    offsets, weights = steps, 1 / np.sqrt(steps)
    if backward:
        offsets, weights = np.concatenate([steps, -steps]), np.concatenate([weights, backward * weights])
    # Beyond either end is nobody's event, so that no user's first follow another's last.
    user = np.pad(history.user_num[order], n_steps, constant_values=-1)
    item = np.pad(history.item_num[order], n_steps)
    by_item = n_steps + np.argsort(history.item_num[order], kind="stable")
    starts = np.searchsorted(item[by_item], np.arange(n_numbers + 1))
    n_sums = np.diff(starts) * len(offsets)

    def blocks() -> Iterator["scipy.sparse.csr_matrix[np.float32]"]:
        for first, stop in blocks_of_sums(n_sums):
            event = by_item[starts[first] : starts[stop]]
            near = event[:, np.newaxis] + offsets
            is_pair = (user[near] == user[event, np.newaxis]) & (item[near] != item[event, np.newaxis])
            pair_starts = np.concatenate([[0], np.cumsum(np.count_nonzero(is_pair, axis=1))])
            cells = (np.broadcast_to(weights.astype(np.float32), near.shape)[is_pair], item[near[is_pair]], pair_starts)
            others = scipy.sparse.csr_matrix(cells, shape=(len(event), n_numbers))  # of each event
            own = (np.ones(len(event), np.float32), np.arange(len(event)), starts[first : stop + 1] - starts[first])
            rules = scipy.sparse.csr_matrix(own, shape=(stop - first, len(event))) @ others
            rules.data *= np.repeat(rarity[first:stop], np.diff(rules.indptr)).astype(np.float32)
            rules.data *= rarity[rules.indices].astype(np.float32)
            yield rules

    return largest_of_blocks(blocks(), n_neighbours, n_sums)


def blocks_of_sums(n_sums: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First row and the one behind the last, of blocks whose `n_sums` [n_rows] stay within `_SUMS_PER_BLOCK`.

    A row that is beyond it alone is a block of its own. So time is linear in the sums, which it would not be with as
    many rows as a dense table has room for.
    """
    ends, first = np.cumsum(n_sums), 0
    while first < len(n_sums):
        done = ends[first - 1] if first else 0
        stop = max(first + 1, int(np.searchsorted(ends, done + _SUMS_PER_BLOCK, side="right")))
        yield first, stop
        first = stop


def largest_of_blocks(
    blocks: Iterator["scipy.sparse.csr_matrix[np.float32]"], n_kept: int, n_sums: npt.NDArray[np.int64]
) -> "scipy.sparse.csr_matrix[np.float32]":
    """`largest_of_rows` of blocks of rows, one below the other, which hold at most `n_sums` [n_rows] entries.

    Written where they stay: lists of parts, put together at the end, would take the memory twice.
    """
    n_most, n_rows = int(np.minimum(n_sums, n_kept).sum()), len(n_sums)  # memory that nothing is written to is none
    data, indices, start = np.empty(n_most, np.float32), np.empty(n_most, np.int32), np.zeros(n_rows + 1, np.int64)
    row = past = 0
    for block in blocks:
        kept = largest_of_rows(block, n_kept)
        data[past : past + kept.nnz], indices[past : past + kept.nnz] = kept.data, kept.indices
        start[row + 1 : row + 1 + kept.shape[0]] = past + kept.indptr[1:]
        row, past = row + kept.shape[0], past + kept.nnz
    return scipy.sparse.csr_matrix((data[:past], indices[:past], start), shape=(n_rows, n_rows))


def largest_of_rows(
    matrix: "scipy.sparse.csr_matrix[np.float32]", n_kept: int
) -> "scipy.sparse.csr_matrix[np.float32]":
    """The `n_kept` largest entries of each row, equal ones by column; columns rise. `matrix` where no row has more."""
    longer = np.flatnonzero(np.diff(matrix.indptr) > n_kept)
    if not len(longer):
        matrix.sort_indices()
        return matrix
    kept = np.ones(matrix.nnz, np.bool_)
    for row in longer:
        of_row = slice(matrix.indptr[row], matrix.indptr[row + 1])
        values = matrix.data[of_row]
        least = np.partition(values, -n_kept)[-n_kept]
        reaching = values >= least
        if n_too_many := np.count_nonzero(reaching) - n_kept:
            equal = np.flatnonzero(values == least)
            reaching[equal[np.argsort(matrix.indices[of_row][equal])[-n_too_many:]]] = False
        kept[of_row] = reaching
    start = np.concatenate([[0], np.cumsum(np.minimum(np.diff(matrix.indptr), n_kept))])
    largest = scipy.sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], start), shape=matrix.shape)
    largest.sort_indices()
    return largest


def truncated_svd(
    matrix: "scipy.sparse.csr_matrix[np.float32]", rank: int, *, seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """The largest singular values, falling, and their right singular vectors.

    Found within the range of a random block, sharpened by three rounds of X^T X, in time that is linear in the entries.
    On one thread, because with more sums come in another order and equal seeds give other vectors.

    Args:
        matrix: X, [n_users + 1, n_items + 1].
        rank: as many as are kept, or fewer where the matrix has fewer; a direction that is rounding is left out.
        seed: of the random block.

    Returns:
        [n_factors] and [n_items + 1, n_factors]; at least one factor, whose value is 0 where the matrix is.

    Source: Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 2011.
    """
    size = min(rank + _OVERSAMPLING, *matrix.shape)
    block = np.random.default_rng(seed).normal(size=(matrix.shape[1], size)).astype(np.float32)
    parts = [_rows_of(matrix, first) for first in range(0, matrix.shape[0], _USERS_PER_BLOCK)]
    with one_thread:
        for _ in range(_POWER_STEPS):
            products = np.zeros_like(block)
            for part in parts:
                products += part.T @ (part @ block)
            block = _orthonormal(products)
        gram = np.zeros((size, size))
        for part in parts:
            projected = np.asarray(part @ block, np.float64)  # [n_users of a part, size]
            gram += projected.T @ projected
        squares, rotation = np.linalg.eigh(gram)
        values = np.sqrt(np.maximum(squares[::-1][:rank], 0))
        n_factors = max(1, int((values > _EPSILON * values[0]).sum()))
        return values[:n_factors], block @ rotation[:, ::-1][:, :n_factors].astype(np.float32)


def _orthonormal(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """An orthonormal basis [n_rows, size] of the columns of `block`, in its place; n_rows is `size` at least.

    By a QR decomposition of each part of the rows, and one of their triangles. Of all rows at once LAPACK would take
    eight times the memory of the block.

    Source: Demmel, Grigori, Hoemmen and Langou, Communication-optimal parallel and sequential QR, 2012 (TSQR).
    """
    n_rows, size = block.shape
    parts = np.array_split(block, max(1, n_rows // max(_ROWS_PER_QR, size)))
    triangles = []
    for part in parts:
        part[:], triangle = np.linalg.qr(part)
        triangles.append(triangle)
    if len(parts) > 1:
        turns = np.linalg.qr(np.concatenate(triangles))[0]
        for part, turn in zip(parts, np.split(turns, len(parts)), strict=True):
            part[:] = part @ turn
    return block


@once_for_a_history
def singular_vectors(history: Interactions, rank: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """`truncated_svd` of the watches."""
    return truncated_svd(history.matrix, rank)


def _rows_of(matrix: "scipy.sparse.csr_matrix[np.float32]", first: int) -> "scipy.sparse.csr_matrix[np.float32]":
    """A block of users, in the same memory; a slice would copy it."""
    starts = matrix.indptr[first : first + _USERS_PER_BLOCK + 1]
    cells = (matrix.data[starts[0] : starts[-1]], matrix.indices[starts[0] : starts[-1]], starts - starts[0])
    return scipy.sparse.csr_matrix(cells, shape=(len(starts) - 1, matrix.shape[1]))


@once_for_a_history
def ease_weights(history: Interactions, *, l2: float) -> npt.NDArray[np.float32]:
    """[n_items + 1, n_items + 1] float32 item-to-item weights B of EASE; row u of X B scores every item for user u.

    B minimises |X - X B|^2 + l2 |B|^2 with zeros on the diagonal. In closed form

        P = (X^T X + l2 I)^-1,    B = I - P diag(1 / diag(P))

    Cubic in the number of items, so callers set a limit.

    Args:
        history: X is its `relative_matrix`.
        l2: > 0, per square root of the number of users: the noise of counts grows so.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019.
    """
    from scipy.linalg import lapack

    matrix = history.relative_matrix
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += l2 * np.sqrt(len(history.users))
    factor, _ = lapack.dpotrf(gram, lower=True, overwrite_a=True)
    inverse, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T  # P
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.asarray(weights, np.float32)
