"""ContextModel: how the context of the moment moves a list, behind a ranker; a context that is absent moves nothing."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy  # its solvers load when something is fitted

from belfry.dataset.arrays import stretches
from belfry.dataset.encoding.context import ContextNumbers
from belfry.dataset.errors import ArtifactError
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.config import Settings
from belfry.layers.saved.files import ReadablePath, load_arrays, read_settings, save_arrays
from belfry.ranking.base import Matrix, Scores
from belfry.ranking.calibration import sigmoid
from belfry.ranking.context.choices import Choices
from belfry.ranking.context.statistics import PER_COLUMN, ContextStatistics
from belfry.ranking.lists import Lists

MIN_CHOICES = 100  # from fewer nothing is learned
CLEARLY = 2.0  # standard errors that a column has to be worth
_PENALTY = 1.0  # of the weights of standardised columns
_LOWEST, _HIGHEST = 1e-30, 1 - 1e-7  # float32 probabilities have no finite log-odds beyond
WEIGHTS_FILE, _ARRAYS = "weights.json", "statistics"

LogOdds = npt.NDArray[np.float64]

log = logging.getLogger(__name__)


class _Saved(Settings):
    """What `WEIGHTS_FILE` holds."""

    weights: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class ContextWeights:
    """A conditional logit over candidates: that a user with list L, in the context c, watches item i of it is

        P(i | L, c) = exp(r_i + w . x_ic) / sum over j in L of exp(r_j + w . x_jc)

    with the ranker's log-odds r and the `ContextStatistics` x. A column that is not clearly of use has no weights.

    Source: McFadden, Conditional logit analysis of qualitative choice behavior, 1974.
    """

    by_column: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # w, as `PER_COLUMN`

    @classmethod
    def fit(cls, choices: Choices, log_odds: LogOdds, lists: Lists) -> Self:
        """By maximum likelihood, with the columns that halves of the users find of use in each other.

        Of use: what one half teaches makes the choices of the other half likelier, by at least `CLEARLY` standard
        errors of the mean over users.

        Args:
            log_odds: [n_rows] of the ranker, of the rows of `lists`, from which it has not learned.
        """
        names = list(choices.asked)
        if len(choices) < MIN_CHOICES:
            log.info("context: %d choices are too few to learn from", len(choices))
            return cls()
        logit = _Logit.of(choices, log_odds, lists)
        kept = [place for place, name in enumerate(names) if logit.is_of_use(name, place)]
        if not kept:
            return cls()
        of_kept = logit.fit(kept).reshape(len(kept), len(PER_COLUMN)).tolist()
        return cls({names[place]: tuple(row) for place, row in zip(kept, of_kept, strict=True)})


@dataclass(frozen=True)
class _Logit:
    """Choices as padded arrays."""

    chosen: npt.NDArray[np.int64]  # [n_choices] place in the list
    log_odds: LogOdds  # [n_choices, longest], -inf where padded
    inputs: npt.NDArray[np.float32]  # [n_choices, longest, n_columns * 3] of unit deviation, 0 where padded
    units: LogOdds  # [n_columns * 3]
    users: npt.NDArray[np.int32]  # [n_choices]

    @classmethod
    def of(cls, choices: Choices, log_odds: LogOdds, lists: Lists) -> "_Logit":
        lengths = lists.lengths[choices.lists]
        is_there = np.arange(int(lengths.max())) < lengths[:, np.newaxis]
        base = np.full(is_there.shape, -np.inf)
        base[is_there] = log_odds[stretches(lists.starts[choices.lists], lengths)]
        units = np.maximum(choices.computed.std(axis=1, dtype=np.float64), 1e-6)
        inputs = np.zeros((*is_there.shape, len(units)), np.float32)
        inputs[is_there] = (choices.computed / units[:, np.newaxis]).T
        return cls(choices.rows - lists.starts[choices.lists], base, inputs, units, lists.users[choices.lists])

    def is_of_use(self, name: str, place: int) -> bool:
        """Whether a column is."""
        half, gain = self.users % 2 == 0, np.zeros(len(self.users))
        for part in (half, ~half):
            if part.any() and not part.all():
                with_it, without = (self._likelihood(part, self._fit(~part, own), own) for own in ([place], []))
                gain[part] = with_it - without
        _, of_user = np.unique(self.users, return_inverse=True)
        by_user = np.bincount(of_user, gain)
        error = by_user.std(ddof=1) * np.sqrt(len(by_user)) if len(by_user) > 1 else np.inf
        found = bool(by_user.sum() > CLEARLY * error)
        log.info(
            "context %r: %+.4f +- %.4f of log-likelihood for a watch of validation users, %s",
            name,
            gain.mean(),
            error / len(gain),
            "learned" if found else "not learned",
        )
        return found

    def fit(self, places: list[int]) -> LogOdds:
        """[n_places * 3] w, per log-odd of the ranker, however sure of itself that is."""
        weights = self._fit(np.ones(len(self.users), np.bool_), places)
        return np.asarray(weights[1:] / max(weights[0], 0.1) / self.units[self._inputs_of(places)])

    def _inputs_of(self, places: list[int]) -> list[int]:
        return [place * len(PER_COLUMN) + number for place in places for number in range(len(PER_COLUMN))]

    def _fit(self, of: npt.NDArray[np.bool_], places: list[int]) -> LogOdds:
        """[1 + n_places * 3] the weight of the ranker's log-odds, and those of the inputs."""
        inputs, base = self.inputs[of][:, :, self._inputs_of(places)], self.log_odds[of]
        chosen = self.chosen[of][:, np.newaxis]
        finite = np.where(np.isfinite(base), base, 0)
        of_chosen = np.take_along_axis(inputs, chosen[:, :, np.newaxis], axis=1)[:, 0]
        base_of_chosen = np.take_along_axis(finite, chosen, axis=1)[:, 0]
        start = np.zeros(1 + inputs.shape[2])
        start[0] = 1

        def loss(weights: LogOdds) -> tuple[float, LogOdds]:
            score = weights[0] * finite + inputs @ weights[1:].astype(np.float32)
            score = np.where(np.isfinite(base), score, -np.inf)
            total = scipy.special.logsumexp(score, axis=1, keepdims=True)
            share = np.exp(score - total)
            value = (total[:, 0] - np.take_along_axis(score, chosen, axis=1)[:, 0]).sum()
            change = weights - start
            slope = (share * finite).sum() - base_of_chosen.sum()
            slopes = np.einsum("ij,ijk->k", share.astype(np.float32), inputs) - of_chosen.sum(axis=0, dtype=np.float64)
            penalty = _PENALTY * change
            return float(value + penalty @ change / 2), np.append(slope, slopes) + penalty

        return np.asarray(scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x)

    def _likelihood(self, of: npt.NDArray[np.bool_], weights: LogOdds, places: list[int]) -> LogOdds:
        """[n_choices] log of the probability of what was chosen."""
        base = self.log_odds[of]
        score = weights[0] * np.where(np.isfinite(base), base, 0)
        score += self.inputs[of][:, :, self._inputs_of(places)] @ weights[1:].astype(np.float32)
        score = np.where(np.isfinite(base), score, -np.inf)
        chosen = np.take_along_axis(score, self.chosen[of][:, np.newaxis], axis=1)[:, 0]
        return np.asarray(chosen - scipy.special.logsumexp(score, axis=1))


def log_odds_of(scores: Scores) -> LogOdds:
    """[n_rows] of probabilities."""
    probability = np.clip(scores.astype(np.float64), _LOWEST, _HIGHEST)
    return np.asarray(np.log(probability) - np.log1p(-probability))


def moved(scores: Scores, added: LogOdds) -> Scores:
    """[n_rows] probabilities, with something added to their log-odds; as they are where that is 0."""
    return np.where(added == 0, scores, sigmoid(log_odds_of(scores) + added)).astype(np.float32)


@dataclass(frozen=True)
class ContextModel:
    """Weights, and the statistics of one history that they count."""

    weights: ContextWeights
    statistics: ContextStatistics

    @property
    def columns(self) -> tuple[str, ...]:
        """That make a difference."""
        return tuple(self.weights.by_column)

    def added(
        self,
        asked: ContextNumbers,
        users: UserNums,
        row_list: npt.NDArray[np.int64],
        items: ItemNums,
        history: Interactions,
    ) -> LogOdds:
        """[n_rows] what a context adds to the log-odds of each row; 0 where it is absent.

        Args:
            asked: [n_lists] of each of `columns`; the rest as in `ContextStatistics.compute`.
        """
        weights = np.array(list(self.weights.by_column.values())).ravel()
        own = {name: asked[name] for name in self.columns}
        return np.asarray(weights @ self.statistics.compute(own, users, row_list, items, history))

    def popular(self, asked: ContextNumbers, row_list: npt.NDArray[np.int64], items: ItemNums) -> Scores:
        """[n_rows] what to add to the log of an item's watches, for users of whom nothing is known: the lifts."""
        added = np.zeros(len(items), np.float32)
        for name in self.columns:
            added += self.statistics.lift(name, asked[name][row_list], items)
        return added

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        saved = _Saved(weights=dict(self.weights.by_column))
        (directory / WEIGHTS_FILE).write_text(json.dumps(saved.model_dump(mode="json"), indent=2))
        arrays = {f"lift/{name}": self.statistics.lifts[name] for name in self.columns}
        save_arrays(
            directory / _ARRAYS, arrays | {f"centre/{name}": self.statistics.centres[name] for name in self.columns}
        )

    @classmethod
    def load(cls, directory: ReadablePath, history: Interactions, vectors: Matrix) -> Self:
        """What `save` wrote, of this history.

        Raises:
            ArtifactError: it is of other values or items, or not finite.
        """
        weights = read_weights(directory).by_column
        arrays = load_arrays(directory / _ARRAYS)
        shapes: dict[str, tuple[int, int]] = {}
        for name in weights:
            n_values = len(history.context[name].values) + 1 if name in history.context else 0
            shapes |= {f"lift/{name}": (n_values, len(vectors)), f"centre/{name}": (n_values, vectors.shape[1])}
        for key in shapes.keys() | arrays.keys():
            array = arrays.get(key)
            if array is None or array.shape != shapes.get(key) or array.dtype != np.float32:
                raise ArtifactError(f"{directory}: {key[:100]!r} is of other values or items than the run; train again")
            if not np.isfinite(array).all():
                raise ArtifactError(f"{directory}: {key[:100]!r} is not finite; train again")
        lifts, centres = ({name: arrays[f"{kind}/{name}"] for name in weights} for kind in ("lift", "centre"))
        return cls(ContextWeights(weights), ContextStatistics(lifts, centres, vectors))


def read_weights(directory: ReadablePath) -> ContextWeights:
    """Those that `ContextModel.save` wrote; raises ArtifactError where they are none."""
    return ContextWeights(read_settings(directory / WEIGHTS_FILE, _Saved).weights)
