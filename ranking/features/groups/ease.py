"""What EASE and PureSVD make of a user's history, both in the space of the largest singular vectors."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import truncated_svd
from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UNIFORM, WEIGHTINGS

_ABOUT = "similarity to what was watched"
_FACTORS, _GAIN, _DIAGONAL, _SIZES = "factors", "gain", "diagonal", "sizes"  # names of the arrays
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
        """V [n_items + 1, n_factors], g [n_factors], diag(P) [n_items + 1], and the sizes f that V has."""
        history = features.history
        values, factors = truncated_svd(history.matrix, config.ease_rank)
        l2 = config.ease_l2 * float(np.sqrt(len(history.users)))  # grows as the noise of counts does
        gain = values**2 / (l2 * (values**2 + l2))
        diagonal = 1 / l2 - (factors.astype(np.float64) ** 2) @ gain
        return {
            _FACTORS: factors,
            _GAIN: gain.astype(np.float32),
            _DIAGONAL: diagonal.astype(np.float32),
            _SIZES: np.array([size for size in config.svd_sizes if size < len(gain)], np.int64),
        }

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting, and one for each size."""
        names = (*(f"ease_{kind}" for kind in WEIGHTINGS), *(f"svd_{size}" for size in self.arrays[_SIZES]))
        return [Column(name, _ABOUT, has_place=True) for name in names]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_weightings + n_sizes, n_rows]"""
        factors, gain, sizes = self.arrays[_FACTORS], self.arrays[_GAIN], self.arrays[_SIZES]
        sums = request.histories.sums(factors)  # [n_weightings, n_users, n_factors]
        uniform = sums[WEIGHTINGS.index(UNIFORM)]
        queries = [*(sums * gain), *(uniform * (np.arange(len(gain)) < size) for size in sizes)]
        read, items = np.stack(queries, axis=1), request.item_table  # [n_users, n_columns, n_factors]
        products = np.empty((len(items), len(queries), items.shape[1]), np.float32)
        for first in range(0, len(items), _USERS_PER_PRODUCT):
            users = slice(first, first + _USERS_PER_PRODUCT)
            np.matmul(read[users], factors[items[users]].transpose(0, 2, 1), out=products[users])
        columns = request.rows_of(products.transpose(1, 0, 2))
        columns[: len(sums)] -= self._own(request)
        columns[: len(sums)] /= self.arrays[_DIAGONAL][request.items]
        return columns

    def item_weights(self, watched: ItemNums, items: ItemNums) -> Matrix:
        """[n_items, n_watched] the entries of B."""
        factors = self.arrays[_FACTORS]
        weights = (factors[items] * self.arrays[_GAIN]) @ factors[watched].T / self.arrays[_DIAGONAL][items, None]
        return np.asarray(np.where(items[:, np.newaxis] == watched, 0, weights), np.float32)

    def _own(self, request: PairRequest) -> Matrix:
        """[n_weightings, n_rows] what watched candidates would add to themselves, where B is 0; else 0."""
        histories, n_numbers = request.histories, len(self.arrays[_DIAGONAL])
        watched = histories.event_user * n_numbers + histories.item_num
        asked = request.row_user * n_numbers + request.items
        is_watched = np.zeros(len(request.candidates.users) * n_numbers, np.bool_)
        is_watched[watched] = True
        if not is_watched[asked].any():
            return np.zeros((len(WEIGHTINGS), 1), np.float32)
        weights = np.stack([np.bincount(watched, own, len(is_watched))[asked] for own in histories.weights])
        of_itself = (self.arrays[_FACTORS] ** 2) @ self.arrays[_GAIN]  # [n_items + 1]
        return np.asarray(weights * of_itself[request.items], np.float32)
