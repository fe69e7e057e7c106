"""What EASE and PureSVD make of a user's history, both in the space of the largest singular vectors."""

from collections.abc import Sequence

import numpy as np
import scipy  # its parts load when they are used

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import truncated_svd
from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UNIFORM, WEIGHTINGS, has_ratings, ratings_above_mean

_ABOUT = "similarity to what was watched"
_SIZES = "sizes"  # name of an array
_USERS_PER_PRODUCT = 32  # the factors of their candidates, 6 MB at 200 of them, stay in the cache


class Ease(FeatureGroup):
    """`ease_<weighting>` of candidate c = sum over the history's events h of w_h B[h, c], for each weighting w, and

    `svd_<f>` = sum over h of w_h V[h, :f] . V[c, :f] for uniform weights, V the right singular vectors of who watched
    what, X ~ U S V^T.

    EASE's B = I - P diag(1 / diag(P)) with P = (X^T X + l2 I)^-1 gives each history back as well as a linear model
    with zeros on its diagonal can. With the `ease_rank` largest singular values s in place of all,

        P = I / l2 - V diag(g) V^T,    g = s^2 / (l2 (s^2 + l2)),    B[h, c] = V[h] diag(g) V[c]^T / P[c, c]

    so that no table of all pairs is needed. The rest of the spectrum is small beside l2.

    Sources: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019; Cremonesi et al., Performance of
    recommender algorithms on top-N recommendation tasks, RecSys 2010 (PureSVD).
    """

    name = "ease"

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """What `_solve` gives, and the sizes f that V has."""
        arrays = _solve(features.history.matrix, config)
        n_factors = arrays["factors"].shape[1]
        return arrays | {_SIZES: np.array([size for size in config.svd_sizes if size < n_factors], np.int64)}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting, and one for each size."""
        names = (*(f"ease_{kind}" for kind in WEIGHTINGS), *(f"svd_{size}" for size in self.arrays[_SIZES]))
        return [Column(name, _ABOUT, has_place=True) for name in names]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_weightings + n_sizes, n_rows]"""
        weights = request.histories.weights
        sums = request.histories.sums(self.arrays["factors"], weights)
        place, uniform = np.arange(sums.shape[2]), sums[WEIGHTINGS.index(UNIFORM)]
        return _columns(self.arrays, request, weights, sums, [uniform * (place < size) for size in self.arrays[_SIZES]])

    def item_weights(self, watched: ItemNums, items: ItemNums) -> Matrix:
        """[n_items, n_watched] the entries of B, equal to the bit whatever other items are asked for."""
        factors = self.arrays["factors"]
        products = np.einsum("if,wf->iw", factors[items] * self.arrays["gain"], factors[watched])
        weights = products / self.arrays["diagonal"][items, np.newaxis]
        return np.asarray(np.where(items[:, np.newaxis] == watched, 0, weights), np.float32)


class EaseByRating(FeatureGroup):
    """`ease_liked` of candidate c = sum over h of w_h B[h, c], h the events rated above the user's mean, w uniform.

    B is learned of such pairs of all users. `ease_disliked` is the same of what was rated below. Needs ratings.
    """

    name = "ease_by_rating"

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether there are ratings."""
        return has_ratings(features)

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """B of what was liked, and of what was disliked: each of about half the pairs, so of half the `ease_l2`."""
        above = ratings_above_mean(features.history)
        config = config.model_copy(update={"ease_l2": config.ease_l2 / 2})
        chosen = {"liked": above > 0, "disliked": above < 0}
        solved = {name: _solve(features.history.select(own).matrix, config) for name, own in chosen.items()}
        return {f"{name}.{key}": array for name, arrays in solved.items() for key, array in arrays.items()}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Liked, disliked."""
        return [Column(f"ease_{name}", _ABOUT, has_place=True) for name in ("liked", "disliked")]

    def compute(self, request: PairRequest) -> Matrix:
        """[2, n_rows]"""
        histories, columns = request.histories, []
        for name, sign in (("liked", 1), ("disliked", -1)):
            arrays = {key: self.arrays[f"{name}.{key}"] for key in ("factors", "gain", "diagonal")}
            is_chosen = sign * histories.above_mean > 0
            weights = (histories.weights[WEIGHTINGS.index(UNIFORM)] * is_chosen)[np.newaxis]
            columns.append(_columns(arrays, request, weights, histories.sums(arrays["factors"], weights), []))
        return np.concatenate(columns)


def _solve(matrix: "scipy.sparse.csr_matrix[np.float32]", config: PairFeaturesConfig) -> Arrays:
    """As in `Ease`: V `factors` [n_items + 1, n_factors], g `gain` [n_factors], diag(P) `diagonal` [n_items + 1]."""
    values, factors = truncated_svd(matrix, config.ease_rank)
    l2 = config.ease_l2 * float(np.sqrt(matrix.shape[0] - 1))  # grows with users as the noise of counts does
    gain = values**2 / (l2 * (values**2 + l2))
    diagonal = 1 / l2 - (factors.astype(np.float64) ** 2) @ gain
    return {"factors": factors, "gain": gain.astype(np.float32), "diagonal": diagonal.astype(np.float32)}


def _columns(arrays: Arrays, request: PairRequest, weights: Matrix, sums: Matrix, plain: Sequence[Matrix]) -> Matrix:
    """[n_weightings + n_plain, n_rows] sum over events h of w_h B[h, c], then query . V[c] of each plain query.

    Args:
        weights: [n_weightings, n_events].
        sums: [n_weightings, n_users, n_factors] of V by these weights.
        plain: queries [n_users, n_factors].
    """
    factors, items = arrays["factors"], request.item_table
    queries = np.stack([*(sums * arrays["gain"]), *plain], axis=1)  # [n_users, n_queries, n_factors]
    products = np.empty((*queries.shape[:2], items.shape[1]), np.float32)
    for first in range(0, len(items), _USERS_PER_PRODUCT):
        users = slice(first, first + _USERS_PER_PRODUCT)
        np.matmul(queries[users], factors[items[users]].transpose(0, 2, 1), out=products[users])
    columns = request.rows_of(products.transpose(1, 0, 2))
    columns[: len(sums)] -= _own(arrays, request, weights)
    columns[: len(sums)] /= arrays["diagonal"][request.items]
    return columns


def _own(arrays: Arrays, request: PairRequest, weights: Matrix) -> Matrix:
    """[n_weightings, n_rows] what watched candidates would add to themselves, where B is 0; else 0."""
    histories, n_numbers = request.histories, len(arrays["diagonal"])
    watched = histories.event_user * n_numbers + histories.item_num
    asked = request.row_user * n_numbers + request.items
    is_watched = np.zeros(len(request.candidates.users) * n_numbers, np.bool_)
    is_watched[watched] = True
    if not is_watched[asked].any():
        return np.zeros((len(weights), 1), np.float32)
    own = np.stack([np.bincount(watched, of_event, len(is_watched))[asked] for of_event in weights])
    of_itself = (arrays["factors"] ** 2) @ arrays["gain"]  # [n_items + 1]
    return np.asarray(own * of_itself[request.items], np.float32)
