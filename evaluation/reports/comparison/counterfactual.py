"""Counterfactual value: what lists would have earned, told from a log that knows how likely each of its rows was.

A row of the log says that an item was shown to a user, with which probability, and what came of it. A system's list of
n stands for a policy that shows one of its items, each as likely. Rows that the policy could have shown are weighted by
policy / log; an item that the log never shows cannot be weighted, and then there is no answer.
"""

from dataclasses import dataclass

import numpy as np

from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.intervals import LEVEL, Matrix, bca
from belfry.evaluation.metrics import Counts, PerUser
from belfry.evaluation.reports.comparison.result import Counterfactual, Estimator, PolicyValue

MIN_EFFECTIVE = 30  # effective rows; fewer carry no interval worth its name
MIN_SUPPORT = 0.9  # of the policy that the log could have shown, at the upper end of its interval
N_FOLDS = 5
_PRIOR = 10.0  # rows of the overall mean that steady an item's mean reward
_N_RESAMPLES = 2_000


@dataclass(frozen=True)
class Log:
    """Rows of users who are judged."""

    row: Counts  # [n] position in `EvaluationContext.users`
    item_num: Counts  # [n]
    reward: PerUser  # [n]
    propensity: PerUser  # [n] in (0, 1], that the log showed this item to this user


def evaluate_log(
    log: Log, baseline: SystemScores, challenger: SystemScores, context: EvaluationContext, *, seed: int
) -> Counterfactual:
    """Value per row shown of both systems by three estimators, percentile intervals over users, or the reasons why not.

    IPS: mean of weight * reward. SNIPS: the same / mean weight, less noisy, slightly biased. Doubly robust: a model of
    the reward (mean by item, steadied, of other folds of users), corrected by weighted errors of the model.
    Source: Horvitz and Thompson 1952; Swaminathan and Joachims, NeurIPS 2015; Dudik, Langford and Li, ICML 2011.
    """
    generator = np.random.default_rng(seed)
    users, user = np.unique(log.row, return_inverse=True)
    policies = [_Policy.of(log, system, users, user) for system in (baseline, challenger)]
    effective = [policy.effective for policy in policies]
    supports = [policy.support(user, len(users), generator) for policy in policies]
    refused = []
    for name, policy, rows, (support, high) in zip(
        ("the baseline", "the challenger"), policies, effective, supports, strict=True
    ):
        if not policy.weight.any():
            refused.append(f"no row of the log shows an item that {name} lists for its user")
        elif rows < MIN_EFFECTIVE:
            refused.append(f"for {name} the log is worth {rows:.1f} rows (at least {MIN_EFFECTIVE} are needed)")
        elif high < MIN_SUPPORT:
            refused.append(
                f"the log could have shown only {support:.0%} of what {name} lists (weights average {support:.2f} "
                "instead of 1): items without a chance, or probabilities that are not those of the log"
            )
    values = () if refused else tuple(_estimates(log, policies, users, user, generator))
    return Counterfactual(
        refused=tuple(refused),
        n_rows=len(log.row),
        n_users=len(users),
        effective_baseline=effective[0],
        effective_challenger=effective[1],
        support_baseline=supports[0][0],
        support_challenger=supports[1][0],
        values=values,
    )


@dataclass(frozen=True)
class _Policy:
    weight: PerUser  # [n_rows] chance that the list shows the row's item / that the log did
    predicted: PerUser  # [n_rows] reward that the model expects of the row's item
    expected: PerUser  # [n_rows] reward that it expects of the list

    @classmethod
    def of(cls, log: Log, system: SystemScores, users: Counts, user: Counts) -> "_Policy":
        lists = system.lists[log.row]
        length = (lists > 0).sum(axis=1)
        shows = (lists == log.item_num[:, None]).any(axis=1)
        chance = np.divide(shows, length, out=np.zeros(len(length)), where=length > 0)
        fold = (np.arange(len(users)) % N_FOLDS)[user]
        n_items = len(system.exposure)
        predicted, expected = np.zeros(len(log.row)), np.zeros(len(log.row))
        for one in range(N_FOLDS):
            inside, outside = fold == one, fold != one
            overall = float(log.reward[outside].mean()) if outside.any() else 0.0
            sums = np.bincount(log.item_num[outside], weights=log.reward[outside], minlength=n_items)
            counts = np.bincount(log.item_num[outside], minlength=n_items)
            model = (sums + _PRIOR * overall) / (counts + _PRIOR)
            predicted[inside] = model[log.item_num[inside]]
            of_list = np.where(lists[inside] > 0, model[lists[inside]], 0).sum(axis=1)
            expected[inside] = of_list / np.maximum(length[inside], 1)
        return cls(chance / log.propensity, predicted, expected)

    @property
    def effective(self) -> float:
        """Rows that an unweighted log of equal worth would have. Source: Kish, Survey sampling, 1965."""
        squares = float((self.weight**2).sum())
        return float(self.weight.sum()) ** 2 / squares if squares else 0.0

    def support(self, user: Counts, n_users: int, generator: np.random.Generator) -> tuple[float, float]:
        """Mean weight, 1 where the log could have shown all that the policy shows; upper end of its interval."""
        sums, counts = (_by_user(values, user, n_users) for values in (self.weight, np.ones(len(user))))
        _, high = bca(sums[:, None], counts[:, None], generator, n_resamples=_N_RESAMPLES)
        return float(self.weight.mean()), float(high[0])


def _estimates(
    log: Log, policies: list[_Policy], users: Counts, user: Counts, generator: np.random.Generator
) -> list[PolicyValue]:
    def of_user(values: PerUser) -> PerUser:
        return _by_user(values, user, len(users))

    ones = of_user(np.ones(len(user)))
    ips = [of_user(policy.weight * log.reward) for policy in policies]
    weights = [of_user(policy.weight) for policy in policies]
    robust = [of_user(policy.expected + policy.weight * (log.reward - policy.predicted)) for policy in policies]
    return [
        _value("IPS", np.column_stack([*ips, ones]), generator),
        _value("SNIPS", np.column_stack([*ips, *weights]), generator),
        _value("doubly robust", np.column_stack([*robust, ones]), generator),
    ]


def _ratios(totals: Matrix) -> Matrix:
    """[..., 2] from two sums [..., :2], divided by their two sums of weights, or by one count [..., 2:]."""
    return totals[..., :2] / totals[..., 2:]


def _value(estimator: Estimator, by_user: Matrix, generator: np.random.Generator) -> PolicyValue:
    """Values of both and their difference, with percentile intervals over users (clusters of rows)."""
    n_users = len(by_user)
    totals = np.empty((_N_RESAMPLES, by_user.shape[1]))
    for place in range(_N_RESAMPLES):
        drawn = np.bincount(generator.integers(n_users, size=n_users), minlength=n_users)
        totals[place] = drawn @ by_user
    with np.errstate(invalid="ignore", divide="ignore"):
        found = _ratios(totals)
    first, second = _ratios(by_user.sum(axis=0))
    columns = np.column_stack([found, found[:, 1] - found[:, 0]])
    low, high = np.nanquantile(columns, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    values = np.array([first, second, second - first])
    return PolicyValue(estimator, *np.column_stack([values, low, high]).ravel().tolist())


def _by_user(values: PerUser, user: Counts, n_users: int) -> PerUser:
    return np.asarray(np.bincount(user, weights=values, minlength=n_users), np.float64)
