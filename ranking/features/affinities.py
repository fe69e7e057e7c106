"""Affinities: how near candidates are to what a user watched, by who else watched both."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import cosine_neighbours, ease_weights
from belfry.dataset.vocabulary import ItemNums, Numbers
from belfry.ranking.features.user_history import RATED, UNIFORM, Arrays, Columns, UserHistory
from belfry.ranking.listwise.config import PairFeaturesConfig

_SVD = "svd_"
_EPSILON = 1e-6  # of the largest singular value: below it directions are chance


def fit_affinities(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
    """Item-to-item tables of one history, those that its size and columns allow."""
    history = features.history
    arrays = neighbour_arrays(
        cosine_neighbours(history.matrix, n_neighbours=config.n_neighbours, shrink=config.shrink), "neighbour", "cosine"
    )
    l2 = config.ease_l2 * np.sqrt(len(history.users))
    if len(history.items) <= config.ease_max_items:
        arrays["ease"] = ease_weights(history.matrix, l2=l2)
    if has_ratings(features) and len(history.items) <= config.ease_max_items:
        liked, disliked = _by_rating(features)
        arrays |= {"ease_liked": ease_weights(liked, l2=l2 / 2), "ease_disliked": ease_weights(disliked, l2=l2 / 2)}
    for n_factors in config.svd_sizes:
        if n_factors < min(history.matrix.shape) - 1:
            arrays[f"{_SVD}{n_factors}"] = _item_factors(history.matrix, n_factors)
    return arrays


def affinity_columns(arrays: Arrays, history: UserHistory, items: ItemNums) -> Columns:
    """Of one list, each [n_items]."""
    columns = neighbour_columns(arrays["neighbour"], arrays["cosine"], history, items, "cosine")
    if "ease" in arrays:
        by_kind = history.weights @ arrays["ease"][np.ix_(history.items, items)]  # [n_kinds, n_items]
        columns |= {f"ease_{kind}": by_kind[place] for place, kind in enumerate(history.kinds)}
    if "ease_liked" in arrays:
        above = history.weights[history.kinds.index(RATED)]
        uniform = history.weights[history.kinds.index(UNIFORM)]
        for name, chosen in (("liked", above > 0), ("disliked", above < 0)):
            table = arrays[f"ease_{name}"][np.ix_(history.items[chosen], items)]
            columns[f"ease_{name}"] = uniform[chosen] @ table
    for name, factors in arrays.items():
        if name.startswith(_SVD):
            user_factors = history.weights[history.kinds.index(UNIFORM)] @ factors[history.items]  # [n_factors]
            columns[name] = factors[items] @ user_factors
    return columns


def neighbour_arrays(neighbours: "sp.csr_matrix[np.float32]", of: str, weight: str) -> Arrays:
    """Two dense tables [n_items + 1, most neighbours]: the neighbours of each item, padded with 0, and how near."""
    width = max(int(np.diff(neighbours.indptr).max(initial=0)), 1)
    rows = np.repeat(np.arange(neighbours.shape[0]), np.diff(neighbours.indptr))
    slots = np.arange(neighbours.nnz) - neighbours.indptr[rows]
    numbers, weights = (np.zeros((neighbours.shape[0], width), kind) for kind in (np.int32, np.float32))
    numbers[rows, slots], weights[rows, slots] = neighbours.indices, neighbours.data
    return {of: numbers, weight: weights}


def neighbour_columns(
    neighbour: Numbers, weight: npt.NDArray[np.float32], history: UserHistory, items: ItemNums, name: str
) -> Columns:
    """Sums over the watched among each candidate's neighbours, by every weighting of the history, and the nearest.

    Args:
        neighbour: [n_items + 1, n_neighbours] of each item, padded with 0.
        weight: how near each is, of the same shape.
    """
    n_items = len(items)
    weight_of = np.zeros((len(history.kinds), len(neighbour)), np.float32)
    weight_of[:, history.items] = history.weights
    is_watched = np.zeros(len(neighbour), np.bool_)
    is_watched[history.items] = True
    is_watched[0] = False
    near = neighbour[items]  # [n_items, n_neighbours]
    rows, slots = np.nonzero(is_watched[near])
    watched, nearness = near[rows, slots], weight[items[rows], slots]
    columns: Columns = {
        f"{name}_{kind}": np.bincount(rows, nearness * weight_of[place, watched], n_items).astype(np.float32)
        for place, kind in enumerate(history.kinds)
    }
    nearest = np.zeros(n_items, np.float32)
    np.maximum.at(nearest, rows, nearness)
    return columns | {f"{name}_nearest": nearest}


def has_ratings(features: FeatureTables) -> bool:
    """Whether there is such a column, be it all missing in this part of a history: every part has the same features."""
    return features.history.rating is not None


def _by_rating(features: FeatureTables) -> "tuple[sp.csr_matrix[np.float32], sp.csr_matrix[np.float32]]":
    """Pairs rated above their user's mean, and pairs rated below; both [n_users + 1, n_items + 1]."""
    history = features.history
    assert history.rating is not None
    rated = np.isfinite(history.rating) & (history.user_num > 0) & (history.item_num > 0)
    user, item, rating = history.user_num[rated], history.item_num[rated], history.rating[rated]
    n_by_user = np.maximum(np.bincount(user, minlength=len(history.users) + 1), 1)
    above = rating - (np.bincount(user, rating, minlength=len(n_by_user)) / n_by_user)[user]
    return _pairs(user[above > 0], item[above > 0], features), _pairs(user[above < 0], item[above < 0], features)


def _pairs(user: Numbers, item: ItemNums, features: FeatureTables) -> "sp.csr_matrix[np.float32]":
    shape = features.history.matrix.shape
    matrix = sp.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _item_factors(matrix: "sp.csr_matrix[np.float32]", n_factors: int) -> npt.NDArray[np.float32]:
    """[n_items + 1, n_factors] right singular vectors. Source: Cremonesi et al., RecSys 2010 (PureSVD)."""
    start = np.ones(min(matrix.shape)) / np.sqrt(min(matrix.shape))  # the same every time
    _, values, vectors = svds(matrix.astype(np.float64), k=n_factors, v0=start)
    vectors[values <= _EPSILON * values.max()] = 0
    return np.ascontiguousarray(vectors.T, np.float32)
