"""What rating rankers are measured beside: biases, and Surprise's SVD with settings chosen inside the train part."""

from itertools import product
from typing import Self

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.split import split_random
from belfry.ranking.base import Scores

_L2 = 4.0  # worth so many ratings
_ROUNDS = 20
FACTORS, EPOCHS, L2 = (20, 100), (30, 60, 100), (0.06, 0.1)  # of SVD, all tried on a tenth of the train part


class Biases:
    """rating = mean + bias of the user + bias of the item, by ridge regression, one side after the other."""

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        self.mean = float(history.rating.mean())
        self.user, self.item = np.zeros(len(history.users) + 1), np.zeros(len(history.items) + 1)
        for _ in range(_ROUNDS):
            for own, other, numbers, others in (
                (self.item, self.user, history.item_num, history.user_num),
                (self.user, self.item, history.user_num, history.item_num),
            ):
                apart = history.rating - self.mean - other[others]
                own[:] = np.bincount(numbers, apart, len(own)) / (np.bincount(numbers, minlength=len(own)) + _L2)
        return self

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return (self.mean + self.user[candidates.user_num] + self.item[candidates.item_num]).astype(np.float32)


class TunedSVD:
    """Surprise's SVD: biases and factors by stochastic gradient descent; settings best on a tenth of the train part."""

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        split = split_random(history, test_share=0.1, seed=seed)
        self.settings = min(
            product(FACTORS, EPOCHS, L2), key=lambda settings: self._error(split.train, split.test, settings, seed)
        )
        self._model = _fitted_svd(history, self.settings, seed)
        return self

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return _svd_ratings(self._model, candidates.user_num, candidates.item_num)

    def _error(self, train: Interactions, test: Interactions, settings: tuple[int, int, float], seed: int) -> float:
        ratings = _svd_ratings(_fitted_svd(train, settings, seed), test.user_num, test.item_num)
        return float(np.mean((ratings - test.rating) ** 2))


def _fitted_svd(history: Interactions, settings: tuple[int, int, float], seed: int):
    try:
        from surprise import SVD, Dataset, Reader
    except ImportError as error:
        raise InputError("benchmarks.ratings: SVD is Surprise's; pip install belfry[peers]") from error

    n_factors, n_epochs, l2 = settings
    scale = float(history.rating.min()), float(history.rating.max())
    rows = zip(history.user_num.tolist(), history.item_num.tolist(), history.rating.tolist(), strict=True)
    data = Dataset(Reader(rating_scale=scale)).construct_trainset([(*row, None) for row in rows])
    return SVD(n_factors=n_factors, n_epochs=n_epochs, lr_all=0.007, reg_all=l2, random_state=seed).fit(data)


def _svd_ratings(model, users: np.ndarray, items: np.ndarray) -> Scores:
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    return np.array([model.predict(*pair).est for pair in pairs], np.float32)
