"""What EASE makes of a user's history, and of what they rated above and below their mean."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import ease_weights, singular_vectors
from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UNIFORM, WEIGHTINGS, has_ratings, ratings_above_mean

_ABOUT = "similarity to what was watched"


class Ease(FeatureGroup):
    """`ease_<weighting>` of candidate c = sum over the history's events h of w_h B[h, c], for each weighting w.

    EASE's B = I - P diag(1 / diag(P)) with P = (X^T X + l2 I)^-1 gives each history back as well as a linear model
    with zeros on its diagonal can. A catalogue of more than `ease_max_items` has no room for a table of all pairs:
    there the `ease_rank` largest singular values s of X ~ U S V^T stand for all,

        P = I / l2 - V diag(g) V^T,    g = s^2 / (l2 (s^2 + l2)),    B[h, c] = V[h] diag(g) V[c]^T / P[c, c]

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019.
    """

    name = "ease"

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """B `table` [n_items + 1, n_items + 1], or what `_solve` gives."""
        if len(features.history.items) > config.ease_max_items:
            return _solve(features.history, config)
        return {"table": ease_weights(features.history, l2=config.ease_l2)}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting."""
        return [Column(f"ease_{kind}", _ABOUT, has_place=True) for kind in WEIGHTINGS]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_weightings, n_rows]"""
        histories = request.histories
        if "table" not in self.arrays:
            return _columns(self.arrays, request, histories.weights)
        scores = histories.sums(self.arrays["table"], histories.weights)
        return scores[:, request.row_user, request.items]

    def item_weights(self, watched: ItemNums, items: ItemNums) -> Matrix:
        """[n_items, n_watched] the entries of B, equal to the bit whatever other items are asked for."""
        if "table" in self.arrays:
            return np.asarray(self.arrays["table"][np.ix_(watched, items)].T)
        factors = self.arrays["factors"]
        products = np.einsum("if,wf->iw", factors[items] * self.arrays["gain"], factors[watched])
        weights = products / self.arrays["diagonal"][items, np.newaxis]
        return np.asarray(np.where(items[:, np.newaxis] == watched, 0, weights), np.float32)


class EaseByRating(FeatureGroup):
    """`ease_liked` of candidate c = sum over h of w_h B[h, c], h the events rated above the user's mean, w uniform.

    B is learned of such pairs of all users, in singular vectors. `ease_disliked` is the same of what was rated below.
    Needs ratings.
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
        solved = {name: _solve(features.history.select(own), config) for name, own in chosen.items()}
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
            columns.append(_columns(arrays, request, weights))
        return np.concatenate(columns)


def _solve(history: Interactions, config: PairFeaturesConfig) -> Arrays:
    """As in `Ease`: V `factors` [n_items + 1, n_factors], g `gain` [n_factors], diag(P) `diagonal` [n_items + 1].

    The regularisation grows with the root of the number of users, as the noise of counts does.
    """
    values, factors = singular_vectors(history, max((config.ease_rank, *config.svd_sizes)))  # those of `Svd`, too
    values, factors = values[: config.ease_rank], np.ascontiguousarray(factors[:, : config.ease_rank])
    l2 = config.ease_l2 * float(np.sqrt(len(history.users)))
    gain = values**2 / (l2 * (values**2 + l2))
    diagonal = 1 / l2 - (factors.astype(np.float64) ** 2) @ gain
    return {"factors": factors, "gain": gain.astype(np.float32), "diagonal": diagonal.astype(np.float32)}


def _columns(arrays: Arrays, request: PairRequest, weights: Matrix) -> Matrix:
    """[n_weightings, n_rows] sum over events h of w_h B[h, c] by `_solve`, for `weights` [n_weightings, n_events]."""
    queries = request.histories.sums(arrays["factors"], weights) * arrays["gain"]
    columns = request.products(queries, arrays["factors"])
    columns -= _own(arrays, request, weights)
    columns /= arrays["diagonal"][request.items]
    return columns


def _own(arrays: Arrays, request: PairRequest, weights: Matrix) -> Matrix:
    """[n_weightings, n_rows] what watched candidates would add to themselves, where B is 0; else 0."""
    row = request.rows_at(request.histories.event_user, request.histories.item_num)
    is_asked = row >= 0
    if not is_asked.any():
        return np.zeros((len(weights), 1), np.float32)
    own = np.stack([np.bincount(row[is_asked], of_event[is_asked], len(request.items)) for of_event in weights])
    of_itself = (arrays["factors"][request.items] ** 2) @ arrays["gain"]  # [n_rows]
    return np.asarray(own * of_itself, np.float32)
