"""How well a candidate fits a history in the space of the largest singular vectors: by projection, and by EASE."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import singular_vectors
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.saved.array_check import ArrayForms, counts, numbers
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UNIFORM, WEIGHTINGS, has_ratings, ratings_above_mean

_ABOUT = "similarity to what was watched"
_ROUNDING = 1e-6


class SingularVectors(FeatureGroup):
    """Of the largest singular values s and vectors V of the watches X ~ U S V^T, and a history of events h:

    - `ease_<weighting>` of candidate c = sum over h of w_h B[h, c], for each weighting w
    - `svd_<f>` = sum over h of w_h V[h] . V[c] in the first f vectors, weights w uniform; as many as there are, where
      there are fewer, so that all parts of one history have the same columns

    EASE's B = I - P diag(1 / diag(P)) with P = (X^T X + l2 I)^-1 gives each history back as well as a linear model
    with zeros on its diagonal can. In the `ease_rank` largest singular values

        P = I / l2 - V diag(g) V^T,    g = s^2 / (l2 (s^2 + l2)),    B[h, c] = V[h] diag(g) V[c]^T / P[c, c]

    Sources: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019. Cremonesi et al., Performance of
    recommender algorithms on top-N recommendation tasks, RecSys 2010 (PureSVD).
    """

    name = "singular_vectors"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {**_forms_of_solved(), "sizes": counts("n_sizes")}

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """What `_solve` gives, and the sizes f."""
        return {**_solve(features.history, config), "sizes": np.array(config.svd_sizes, np.int64)}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One of EASE for each weighting, and one for each size."""
        names = [f"ease_{kind}" for kind in WEIGHTINGS] + [f"svd_{size}" for size in self.arrays["sizes"]]
        return [Column(name, _ABOUT, has_place=True) for name in names]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_columns, n_rows]"""
        factors, weights = self.arrays["factors"], request.histories.weights
        sums = request.histories.sums(factors, weights)  # [n_weightings, n_users, n_factors]
        is_read = np.arange(factors.shape[1]) < self.arrays["sizes"][:, np.newaxis, np.newaxis]
        projections = sums[WEIGHTINGS.index(UNIFORM)] * is_read
        columns = request.products(np.concatenate([sums * self.arrays["gain"], projections]), factors)
        _to_ease(columns[: len(weights)], self.arrays, request, weights)
        svd = columns[len(weights) :]
        # As many vectors as there are items give every history back, and others 0 but for what a block rounds.
        svd[np.abs(svd) < _ROUNDING] = 0
        return columns

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
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {**_forms_of_solved("liked."), **_forms_of_solved("disliked.")}

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
            weights = (histories.weights[WEIGHTINGS.index(UNIFORM)] * (sign * histories.above_mean > 0))[np.newaxis]
            column = request.products(histories.sums(arrays["factors"], weights) * arrays["gain"], arrays["factors"])
            _to_ease(column, arrays, request, weights)
            columns.append(column)
        return np.concatenate(columns)


def _solve(history: Interactions, config: PairFeaturesConfig) -> Arrays:
    """As in `SingularVectors`: V `factors` [n_items + 1, n_factors], g `gain` [n_factors], diag(P) `diagonal`
    [n_items + 1].

    The regularisation grows with the root of the number of users, as the noise of counts does.
    """
    values, factors = singular_vectors(history, max(config.ease_rank, *config.svd_sizes, 1))
    l2 = config.ease_l2 * float(np.sqrt(len(history.users)))
    gain = values**2 / (l2 * (values**2 + l2))
    gain[config.ease_rank :] = 0
    diagonal = 1 / l2 - np.einsum("if,if,f->i", factors, factors, gain)  # which makes no table in double precision
    return {"factors": factors, "gain": gain.astype(np.float32), "diagonal": diagonal.astype(np.float32)}


def _forms_of_solved(prefix: str = "") -> ArrayForms:
    n_factors = f"{prefix}factors"
    return {
        f"{prefix}factors": numbers("n_items + 1", n_factors),
        f"{prefix}gain": numbers(n_factors),
        f"{prefix}diagonal": numbers("n_items + 1"),
    }


def _to_ease(columns: Matrix, arrays: Arrays, request: PairRequest, weights: Matrix) -> None:
    """Make `columns` [n_weightings, n_rows] of products with the gain sums of w_h B[h, c]: B is 0 for c itself."""
    if len(row := request.row_of_event[is_asked := request.row_of_event >= 0]):  # a candidate was watched
        own = np.stack([np.bincount(row, of_event[is_asked], len(request.items)) for of_event in weights])
        columns -= np.asarray(own * ((arrays["factors"][request.items] ** 2) @ arrays["gain"]), np.float32)
    columns /= arrays["diagonal"][request.items]
