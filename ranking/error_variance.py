"""ErrorVariance: how far ratings lie from those that a model expects, by what is known of the user and of the item."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy  # its solvers load when something is fitted

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.saved.array_check import ArrayForm, Lengths, check_arrays, check_lengths
from belfry.layers.saved.files import ReadablePath, read_array
from belfry.ranking.base import LabelRanker, Scores

Values: TypeAlias = npt.NDArray[np.floating]

VARIANCE_WEIGHTS = "variance_weights.npy"
_FORMS = {
    VARIANCE_WEIGHTS: ArrayForm("f", (3,), 0),
    "user_variance.npy": ArrayForm("f", ("n_users + 1",), 0),
    "item_variance.npy": ArrayForm("f", ("n_items + 1",), 0),
}
_DAMPING = 5.0  # ratings of the mean that each bias counts
_PRIOR = 10.0  # ratings of everybody's variance that each user counts; errors of the mean that the weights do


@dataclass(frozen=True)
class KnownRatings:
    """What the ratings that a model learns from say of errors to come; row 0 is the unknown's."""

    spread: float  # variance of all ratings
    residual: float  # the same around biases
    user_variance: Values  # [n_users + 1] around biases, v_u
    user_share: Values  # [n_users + 1] 1 / (n_u + 1), where n_u are the ratings of user u
    item_share: Values  # [n_items + 1] 1 / (n_i + 1)

    @classmethod
    def of(cls, history: Interactions) -> Self:
        """Of the rated pairs of a history, of which there is one at least."""
        assert history.rating is not None
        rows = history.rated_rows
        user_num, item_num = history.user_num[rows], history.item_num[rows]
        ratings = history.rating[rows].astype(np.float64)
        n_of_users = np.bincount(user_num, minlength=len(history.users) + 1)
        n_of_items = np.bincount(item_num, minlength=len(history.items) + 1)
        residuals = ratings - ratings.mean()
        for numbers, n_ratings in ((item_num, n_of_items), (user_num, n_of_users)):
            biases = np.bincount(numbers, residuals, len(n_ratings)) / (n_ratings + _DAMPING)
            residuals = residuals - biases[numbers]
        squares = np.bincount(user_num, residuals**2, len(n_of_users))
        residual = float(np.mean(residuals**2))
        user_variance = (squares + _PRIOR * residual) / (n_of_users + _PRIOR)
        return cls(float(ratings.var()), residual, user_variance, 1 / (n_of_users + 1), 1 / (n_of_items + 1))

    def weights(self, errors: Values, user_num: UserNums, item_num: ItemNums) -> Values:
        """[3] w of `ErrorVariance`: least squares, none below 0, by the errors [n_rows] of ratings not learned from.

        With few of them the variance is w_0 v_u, and on average that of all ratings: as if `_PRIOR` more errors were
        those of the mean. The other weights have a prior of mean 0 and about one error's deviation.
        """
        unit = self.spread or 1.0
        share_of_users, share_of_items = self.user_share[user_num], self.item_share[item_num]
        terms = np.stack([self.user_variance[user_num] / unit, share_of_users, share_of_items], axis=1)
        prior = np.diag([np.sqrt(_PRIOR) * self.residual / unit, 1, 1])
        targets = np.append(errors.astype(np.float64) ** 2 / unit, [np.sqrt(_PRIOR), 0, 0])
        found, _ = scipy.optimize.nnls(np.concatenate([terms, prior]), targets)
        return np.asarray(found * [1, unit, unit])


@dataclass(frozen=True)
class ErrorVariance:
    """E (rating_ui - expected_ui)^2 = w_0 v_u + w_1 / (n_u + 1) + w_2 / (n_i + 1), as `KnownRatings` has v and n.

    People who rate steadily can be told better, and what many ratings are known of. Users and items that the model does
    not know have the row of the unknown.
    """

    weights: Values  # [3] w
    of_users: Values  # [n_users + 1] the first two terms
    of_items: Values  # [n_items + 1] the last one

    @classmethod
    def of(cls, weights: Values, known: KnownRatings) -> Self:
        """Of a model that has learned from these ratings."""
        of_users = weights[0] * known.user_variance + weights[1] * known.user_share
        return cls(weights, of_users, weights[2] * known.item_share)

    def deviations(self, user_num: UserNums, item_num: ItemNums) -> Scores:
        """[n_rows] float32 standard deviations of ratings from what is expected of these pairs."""
        return np.sqrt(self.of_users[user_num] + self.of_items[item_num]).astype(np.float32)

    def save(self, directory: Path) -> None:
        """Into the folder of what expects the ratings."""
        for name, values in zip(_FORMS, (self.weights, self.of_users, self.of_items), strict=True):
            np.save(directory / name, values)

    @classmethod
    def load(cls, directory: ReadablePath, known: Lengths) -> Self:
        """What `save` wrote, of `known` n_users and n_items.

        Raises:
            ArtifactError: an array is of another form.
        """
        arrays = {name: read_array(directory / name) for name in _FORMS}
        check_lengths(directory, check_arrays(directory, arrays, _FORMS), known)
        return cls(*arrays.values())


def learned_weights(labels: LabelRanker, features: FeatureTables, later: Interactions) -> Values:
    """`KnownRatings.weights` of a model that knows `features` alone, by the ratings of new pairs in `later`."""
    rows = later.rated_rows
    is_known = features.history.seen_items.contains(later.user_num[rows], later.item_num[rows])
    new = later.select(rows[~is_known])
    errors: Values = np.zeros(0)
    if len(new) and new.rating is not None:
        expected = labels.expected(pairs_by_user(new), features)
        errors = expected[:, labels.label_names.index(columns.RATING)] - new.rating
    return KnownRatings.of(features.history).weights(errors, new.user_num, new.item_num)


def pairs_by_user(events: Interactions) -> Candidates:
    """The pairs of events that stand by user, and nothing else of them."""
    users, row_user = np.unique(events.user_num, return_inverse=True)
    n = len(events)
    rank, origin = np.ones(n, np.int32), np.zeros(n, np.int8)
    return Candidates(users, row_user, events.item_num, np.zeros(n, np.float32), rank, origin, ("held back",))
