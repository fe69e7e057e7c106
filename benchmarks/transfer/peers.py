"""What ratings alone can do: a tuned bias model, and a tuned SVD of scikit-surprise (`pip install belfry[peers]`)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Predict = Callable[[Numbers, Numbers], Floats]  # users, items -> ratings, as they come

VALIDATION_SHARE = 0.2  # of the ratings that may be learned from
BIAS_L2 = tuple(product((1.0, 3.0, 6.0, 12.0, 25.0), (1.0, 3.0, 6.0, 12.0, 25.0)))  # of users, of items
SVD_SETTINGS = tuple(product((2, 10, 50), (0.02, 0.06, 0.12), (20, 60)))  # factors, penalty, epochs
_ROUNDS = 15


@dataclass(frozen=True)
class Ratings:
    user_num: Numbers
    item_num: Numbers
    rating: npt.NDArray[np.float32]

    def select(self, rows: npt.NDArray[np.int64]) -> "Ratings":
        return Ratings(self.user_num[rows], self.item_num[rows], self.rating[rows])


def tuned(fit: Callable[..., Predict], settings: Iterable[tuple[float, ...]], known: Ratings, *, seed: int) -> Predict:
    """The setting best by RMSE on a part of the known ratings, fitted on all of them."""
    shuffled = np.random.default_rng(seed).permutation(len(known.rating))
    n_held_back = max(1, round(len(shuffled) * VALIDATION_SHARE))
    held_back, learned = known.select(shuffled[:n_held_back]), known.select(shuffled[n_held_back:])

    def error(setting: tuple[float, ...]) -> float:
        predict = fit(learned, *setting, seed=seed)
        return float(((predict(held_back.user_num, held_back.item_num) - held_back.rating) ** 2).mean())

    return fit(known, *min(settings, key=error), seed=seed)


def fit_biases(known: Ratings, user_l2: float, item_l2: float, *, seed: int) -> Predict:
    """mean + user + item, each shrunk, by alternating least squares; nothing in it is random."""
    mean = float(known.rating.mean())
    shape = (int(known.user_num.max()) + 1, int(known.item_num.max()) + 1)
    rest = sp.csr_matrix((known.rating - mean, (known.user_num, known.item_num)), shape=shape, dtype=np.float64)
    there = sp.csr_matrix((np.ones(len(known.rating)), (known.user_num, known.item_num)), shape=shape)
    users, items = np.zeros(shape[0]), np.zeros(shape[1])
    n_of_user, n_of_item = there.sum(axis=1).A1, there.sum(axis=0).A1
    for _ in range(_ROUNDS):
        users = (rest.sum(axis=1).A1 - there @ items) / (n_of_user + user_l2)
        items = (rest.sum(axis=0).A1 - there.T @ users) / (n_of_item + item_l2)

    def predict(user_num: Numbers, item_num: Numbers) -> Floats:
        return np.asarray(mean + _at(users, user_num) + _at(items, item_num))

    return predict


def fit_svd(known: Ratings, n_factors: float, l2: float, n_epochs: float, *, seed: int) -> Predict:
    """Biases and factors by stochastic gradient descent. Source: Koren et al., Matrix factorization, 2009."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    frame = pd.DataFrame({"user": known.user_num, "item": known.item_num, "rating": known.rating})
    reader = Reader(rating_scale=(float(known.rating.min()), float(known.rating.max())))
    train = Dataset.load_from_df(frame, reader).build_full_trainset()
    model = SVD(n_factors=int(n_factors), n_epochs=int(n_epochs), reg_all=l2, random_state=seed).fit(train)

    def predict(user_num: Numbers, item_num: Numbers) -> Floats:
        pairs = zip(user_num.tolist(), item_num.tolist(), strict=True)
        return np.array([model.predict(user, item).est for user, item in pairs])

    return predict


def _at(values: Floats, numbers: Numbers) -> Floats:
    """`values` at these places, 0 behind their end."""
    return np.where(numbers < len(values), values[np.minimum(numbers, len(values) - 1)], 0)
