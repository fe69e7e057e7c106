"""Counterfactual value: what lists would have earned, told from a log that knows how likely each of its rows was.

A log has lists as they were shown, each of their items with the chance that the list held it; or single items, each
with the chance that it was the one shown. Either way a row tells of other lists that hold its item, weighted by one
over that chance; an item without a chance cannot be weighted, and then there is no answer. The value of a list is its
mean reward for a place: what an item earns is taken not to depend on its place, nor on the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from belfry.dataset.vocabulary import Numbers
from belfry.evaluation.intervals import LEVEL, Matrix, bca
from belfry.evaluation.metrics import Counts, Lists, PerUser
from belfry.evaluation.reports.comparison.result import Counterfactual, Estimator, PolicyValue

SHOWN = "as shown"  # the policy of a log itself
MIN_EFFECTIVE = 30  # effective rows; fewer carry no interval worth its name
MIN_SUPPORT = 0.9  # of the lists that the log could have shown, at the upper end of its interval; 1 over it, the lower
N_FOLDS = 5
_PRIOR = 10.0  # rows of the overall mean that steady an item's mean reward
_N_RESAMPLES = 2_000


@dataclass(frozen=True)
class Log:
    """What was shown, and what came of it."""

    users: Numbers  # [n_users] rising
    row: Counts  # [n_rows] position in `users`
    item_num: Counts  # [n_rows]
    reward: PerUser  # [n_rows]
    propensity: PerUser  # [n_rows] in (0, 1], that the list held this item, or that this item was the one shown
    n_lists: Counts  # [n_users] that each user was shown; rows, where single items were
    clip: float | None = None  # weights of rows less likely than 1 / clip are cut to `clip`

    @classmethod
    def of_items(
        cls,
        users: Numbers,
        row: Counts,
        item_num: Counts,
        reward: PerUser,
        propensity: PerUser,
        *,
        clip: float | None = None,
    ) -> "Log":
        """One of single items."""
        return cls(users, row, item_num, reward, propensity, np.bincount(row, minlength=len(users)), clip)


@dataclass(frozen=True)
class Policy:
    """How lists stand to a log."""

    name: str
    weight: PerUser  # [n_rows] share of the user's list that the row's item is / chance that the log showed it
    predicted: PerUser  # [n_rows] reward that the model expects of the row's item
    expected: PerUser  # [n_users] reward that it expects of a place of the list
    clipped: float = 0.0

    @classmethod
    def of_lists(cls, name: str, lists: Lists, log: Log) -> "Policy":
        """That of deterministic lists [n_users, n], with 0 behind their ends."""
        length = (lists > 0).sum(axis=1)
        holds = (lists[log.row] == log.item_num[:, None]).any(axis=1) & (log.item_num > 0)
        chance = np.divide(holds, length[log.row], out=np.zeros(len(log.row)), where=length[log.row] > 0)
        least = 0.0 if log.clip is None else 1 / log.clip
        fold = np.arange(len(log.users)) % N_FOLDS
        n_items = int(max(lists.max(initial=0), log.item_num.max(initial=0))) + 1
        predicted, expected = np.zeros(len(log.row)), np.zeros(len(log.users))
        for one in range(N_FOLDS):
            inside, own = fold[log.row] == one, fold == one
            model = _mean_rewards(log.item_num[~inside], log.reward[~inside], n_items)
            predicted[inside] = model[log.item_num[inside]]
            expected[own] = np.where(lists[own] > 0, model[lists[own]], 0).sum(axis=1) / np.maximum(length[own], 1)
        cut = (log.propensity < least) & holds
        share = float(cut.sum() / max(holds.sum(), 1))
        return cls(name, chance / np.maximum(log.propensity, least), predicted, expected, share)

    @classmethod
    def as_shown(cls, log: Log) -> "Policy":
        """That of the log itself: each of its lists is worth what it earned for a place."""
        n_rows = np.bincount(log.row, minlength=len(log.users))
        return cls(SHOWN, (log.n_lists / n_rows)[log.row], np.zeros(len(log.row)), np.zeros(len(log.users)))

    @property
    def effective(self) -> float:
        """Rows that an unweighted log of equal worth would have. Source: Kish, Survey sampling, 1965."""
        squares = float((self.weight**2).sum())
        return float(self.weight.sum()) ** 2 / squares if squares else 0.0

    def support(self, log: Log, generator: np.random.Generator) -> tuple[float, float, float]:
        """Weights of a list, 1 where the log could have shown all of it, and the ends of their interval."""
        sums, counts = _by_user(self.weight, log), log.n_lists.astype(np.float64)
        low, high = bca(sums[:, None], counts[:, None], generator, n_resamples=_N_RESAMPLES)
        mean = float(sums.sum() / counts.sum())
        ends = np.where(np.isnan([low[0], high[0]]), mean, [low[0], high[0]])  # all users alike: no interval
        return mean, float(ends[0]), float(ends[1])


def evaluate_log(log: Log, baseline: Policy, challenger: Policy, *, seed: int) -> Counterfactual:
    """Value of both by three estimators, percentile intervals over users, or the reasons why not.

    With weights w, rewards r and L lists shown: IPS is sum(w r) / L; SNIPS sum(w r) / sum(w), less noisy and slightly
    biased; doubly robust a model of the reward (mean by item, steadied, of other folds of users) corrected by
    sum(w (r - model)) / L.

    Source: Horvitz and Thompson 1952; Swaminathan and Joachims, NeurIPS 2015; Dudik, Langford and Li, ICML 2011.
    """
    generator = np.random.default_rng(seed)
    policies = (baseline, challenger)
    supports = [policy.support(log, generator) for policy in policies]
    refused = []
    for policy, (support, low, high) in zip(policies, supports, strict=True):
        if not policy.weight.any():
            refused.append(f"no row of the log shows an item that {policy.name} lists for its user")
        elif policy.effective < MIN_EFFECTIVE:
            refused.append(
                f"for {policy.name} the log is worth {policy.effective:.1f} rows (at least {MIN_EFFECTIVE} are needed)"
            )
        elif high < MIN_SUPPORT:
            refused.append(
                f"the log could have shown only {support:.0%} of what {policy.name} lists (weights average "
                f"{support:.2f} instead of 1): items without a chance, weights that are cut, or probabilities that are "
                "not those of the log"
            )
        elif low > 1 / MIN_SUPPORT:
            refused.append(
                f"the log shows what {policy.name} lists more often than by chance (weights average {support:.2f} "
                "instead of 1): lists that were made of it, or probabilities that are not those of the log"
            )
    return Counterfactual(
        refused=tuple(refused),
        n_rows=len(log.row),
        n_users=len(log.users),
        effective_baseline=baseline.effective,
        effective_challenger=challenger.effective,
        support_baseline=supports[0][0],
        support_challenger=supports[1][0],
        values=() if refused else tuple(_estimates(log, policies, generator)),
        n_lists=int(log.n_lists.sum()),
        clipped_baseline=baseline.clipped,
        clipped_challenger=challenger.clipped,
    )


def against_shown(log: Log, name: str, lists: Lists, *, seed: int) -> Counterfactual:
    """Lists [n_users, n] of one system, against what was shown."""
    return evaluate_log(log, Policy.as_shown(log), Policy.of_lists(name, lists, log), seed=seed)


def lines_of(found: Counterfactual, names: tuple[str, str]) -> list[str]:
    """What the estimates rest on, in words."""
    lists = f"{found.n_lists:,} lists of {found.n_users:,} users" if found.n_lists < found.n_rows else ""
    shown = lists or f"{found.n_users:,} users"
    lines = [
        f"{found.n_rows:,} rows of the log, {shown}; worth {found.effective_baseline:,.0f} rows for {names[0]} and "
        f"{found.effective_challenger:,.0f} for {names[1]}."
    ]
    if found.clipped_baseline or found.clipped_challenger:
        lines.append(
            f"Weights were cut for {found.clipped_baseline:.1%} and {found.clipped_challenger:.1%} of the rows that "
            "count, so that values are too low."
        )
    return lines


def _mean_rewards(item_num: Counts, reward: PerUser, n_items: int) -> PerUser:
    """[n_items] steadied by the mean over all rows."""
    overall = float(reward.mean()) if len(reward) else 0.0
    sums = np.bincount(item_num, weights=reward, minlength=n_items)
    counts = np.bincount(item_num, minlength=n_items)
    return np.asarray((sums + _PRIOR * overall) / (counts + _PRIOR))


def _estimates(log: Log, policies: Sequence[Policy], generator: np.random.Generator) -> list[PolicyValue]:
    n_lists = log.n_lists.astype(np.float64)
    ips = [_by_user(policy.weight * log.reward, log) for policy in policies]
    weights = [_by_user(policy.weight, log) for policy in policies]
    robust = [
        n_lists * policy.expected + _by_user(policy.weight * (log.reward - policy.predicted), log)
        for policy in policies
    ]
    return [
        _value("IPS", np.column_stack([*ips, n_lists]), generator),
        _value("SNIPS", np.column_stack([*ips, *weights]), generator),
        _value("doubly robust", np.column_stack([*robust, n_lists]), generator),
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


def _by_user(values: PerUser, log: Log) -> PerUser:
    return np.asarray(np.bincount(log.row, weights=values, minlength=len(log.users)), np.float64)
