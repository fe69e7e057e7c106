"""The rule that turns figures into a verdict, and the verdict into sentences for people without statistics."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from belfry.dataset.errors import InputError
from belfry.evaluation.registry import label_of
from belfry.evaluation.reports.comparison.inference import ALPHA, POWER
from belfry.evaluation.reports.comparison.result import (
    Difference,
    Guardrail,
    Outcome,
    SeedAnalysis,
    Slice,
    State,
    Verdict,
)


@dataclass(frozen=True)
class Limit:
    """How far a metric may move the wrong way, e.g. `hit_rate@10=-5%`, `gini@10=+0.05`."""

    metric: str
    change: float  # signed
    is_relative: bool

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """
        Raises:
            InputError: `text` is no limit.
        """
        found = re.fullmatch(r"\s*(\w+@\d+)\s*=\s*([+-])(\d+\.?\d*|\.\d+)(%?)\s*", text)
        if not found:
            raise InputError(
                f"guardrail {text!r}: wanted METRIC@N=CHANGE with a sign, such as hit_rate@10=-5% (may fall by a "
                "twentieth) or gini@10=+0.05 (may rise by 0.05)"
            )
        metric, sign, size, percent = found.groups()
        value = float(size) / (100 if percent else 1)
        return cls(metric, -value if sign == "-" else value, bool(percent))


def default_limits(n: int) -> tuple[Limit, ...]:
    """What a gain in the primary metric must not be paid with."""
    return (
        Limit(f"hit_rate@{n}", -0.05, True),
        Limit(f"coverage@{n}", -0.20, True),
        Limit(f"popularity_lift@{n}", 0.20, True),
        Limit(f"intra_list_diversity@{n}", -0.20, True),
        Limit(f"has_list@{n}", -0.01, True),
    )


def judge_guardrail(limit: Limit, measured: Sequence[Difference]) -> Guardrail:
    """broken: the whole interval lies beyond the limit; held: none of it does; unclear: the limit lies inside.

    A property of all lists together has no interval and is judged by its value.

    Raises:
        InputError: there is no such metric.
    """
    found = next((one for one in measured if one.metric == limit.metric), None)
    if found is None:
        names = ", ".join(one.metric for one in measured)
        raise InputError(f"guardrail on {limit.metric!r}: no such metric here; there are {names}")
    scale = abs(found.baseline) if limit.is_relative else 1.0
    if not scale or math.isnan(found.difference) or math.isnan(scale):
        nan = math.nan
        return Guardrail(limit.metric, limit.change, limit.is_relative, nan, nan, nan, "not measured")
    change, low, high = (value / scale for value in (found.difference, found.low, found.high))
    ends = (change, change) if math.isnan(low) else (low, high)
    beyond = [end < limit.change if limit.change < 0 else end > limit.change for end in ends]
    state: State = "broken" if all(beyond) else "unclear" if any(beyond) else "held"
    return Guardrail(limit.metric, limit.change, limit.is_relative, change, low, high, state)


@dataclass(frozen=True)
class Evidence:
    """What a verdict is made from."""

    baseline: str
    challenger: str
    primary: Difference
    p: float  # Holm over the challengers
    guardrails: Sequence[Guardrail]
    seeds: SeedAnalysis | None
    n_challengers: int
    slices: Sequence[Slice]


def decide(evidence: Evidence) -> Verdict:
    """The rule: see docs/compare.md.

    better (worse): p is below alpha and the interval lies above (below) 0, both with the variance of training where
    there are several runs. guardrail broken: better or not shown, and a guardrail is broken. Else not shown.
    """
    low, high = _interval(evidence)
    sign = -1 if evidence.primary.better == "lower" else 1
    is_shown = evidence.p < ALPHA and (low > 0 or high < 0)
    is_gain = sign * evidence.primary.difference > 0
    outcome: Outcome = "not shown" if not is_shown else "better" if is_gain else "worse"
    broken = [guardrail for guardrail in evidence.guardrails if guardrail.state == "broken"]
    if broken and outcome != "worse":
        outcome = "guardrail broken"
    return Verdict(
        outcome,
        _headline(outcome, evidence, is_shown and is_gain, broken),
        _size(evidence),
        _uncertainty(evidence, low, high),
        _next_step(outcome, evidence, broken, low, high),
    )


def _interval(evidence: Evidence) -> tuple[float, float]:
    """The wider of the two: over users alone, and with the variance of training."""
    seeds, primary = evidence.seeds, evidence.primary
    return (seeds.low, seeds.high) if seeds else (primary.low, primary.high)


def _headline(outcome: Outcome, evidence: Evidence, is_better: bool, broken: Sequence[Guardrail]) -> str:
    a, b, metric = evidence.baseline, evidence.challenger, label_of(evidence.primary.metric)
    if outcome == "guardrail broken":
        cost = " and ".join(label_of(guardrail.metric) for guardrail in broken)
        gain = f"{b} gains in {metric}" if is_better else f"{b} is not shown to gain in {metric}"
        return f"{gain}, and it breaks a guardrail: {cost}."
    if outcome == "not shown":
        return f"It is not shown that {b} differs from {a} in {metric}."
    return f"{b} is {outcome} than {a} in {metric}."


def _size(evidence: Evidence) -> str:
    primary = evidence.primary
    relative = "" if math.isnan(primary.relative) else f", {primary.relative:+.1%} of {evidence.baseline}'s value"
    total = max(primary.n_users, 1)
    gained, lost = (primary.losses, primary.wins) if primary.better == "lower" else (primary.wins, primary.losses)
    return (
        f"Size: {label_of(primary.metric)} is {primary.baseline:.4f} for {evidence.baseline} and "
        f"{primary.challenger:.4f} for {evidence.challenger}, a difference of {primary.difference:+.4f}{relative}. "
        f"Of {primary.n_users:,} users, {gained / total:.0%} get a better list by {evidence.challenger}, "
        f"{lost / total:.0%} a worse one, {primary.ties / total:.0%} neither."
    )


def _uncertainty(evidence: Evidence, low: float, high: float) -> str:
    primary = evidence.primary
    if math.isnan(low) and 0 < primary.ties == primary.n_users:
        return (
            f"Uncertainty: both systems give each of these {primary.n_users:,} users lists of equal value; so few say "
            "little of others."
        )
    if math.isnan(low):
        return f"Uncertainty: {primary.n_users:,} users are too few to say anything but what happened to them."
    if primary.difference == 0 and low == high == 0:
        return "Uncertainty: none about these users: both systems give each of them lists of equal value."
    parts = [
        f"Uncertainty: other users would have given another figure. The true difference lies between {low:+.4f} and "
        f"{high:+.4f} as far as 95% intervals can be trusted"
    ]
    parts.append(f"; if both were equally good, a difference as large as this would turn up {_chance(evidence.p)}.")
    if evidence.n_challengers > 1:
        parts.append(f" That allows for {evidence.n_challengers} systems having been tried.")
    if evidence.seeds:
        seeds = evidence.seeds
        share = seeds.error_training**2 / (seeds.error_training**2 + seeds.error_users**2 or 1)
        parts.append(
            f" Training was repeated ({seeds.n_runs_baseline} and {seeds.n_runs_challenger} runs): {share:.0%} of the "
            "variance of the difference comes from training, the rest from which users were judged."
        )
    if not math.isnan(primary.detectable):
        parts.append(
            f" This test part could have shown differences from {primary.detectable:.4f} up "
            f"(found in {POWER:.0%} of cases); smaller ones would mostly have gone unseen."
        )
    return "".join(parts)


def _chance(p: float) -> str:
    if p < 0.001:
        return f"in fewer than 1 of 1,000 such comparisons (p = {p:.2g})"
    if p >= 0.5:
        return f"in most such comparisons (p = {p:.2f})"
    return f"in about 1 of {round(1 / p):,} such comparisons (p = {p:.3g})"


def _next_step(outcome: Outcome, evidence: Evidence, broken: Sequence[Guardrail], low: float, high: float) -> str:
    primary, b = evidence.primary, evidence.challenger
    sign = -1 if primary.better == "lower" else 1
    unclear = [label_of(guardrail.metric) for guardrail in evidence.guardrails if guardrail.state == "unclear"]
    lost = [
        f"{one.dimension}: {one.group}" for one in evidence.slices if one.p_holm < ALPHA and one.difference * sign < 0
    ]
    if outcome == "worse":
        return f"Next step: keep {evidence.baseline}. Look first at the lists of those who lost most, below."
    if outcome == "guardrail broken":
        names = " and ".join(label_of(guardrail.metric) for guardrail in broken)
        return f"Next step: do not ship {b} as it is. Mend {names}, or decide in writing that the limit was wrong."
    if outcome == "better":
        watch = f" Watch {' and '.join(unclear)}: not shown to stay within its limit." if unclear else ""
        harmed = f" It is worse for some: {'; '.join(lost[:3])}." if lost else ""
        return (
            f"Next step: try {b} on real traffic.{watch}{harmed} Lists judged by past watches favour what people found "
            "by themselves, so a live test has the last word."
        )
    if primary.difference == 0:
        return "Next step: check that the two tables are meant to be different."
    if math.isnan(low):
        return "Next step: judge more users; at least a hundred, better a thousand."
    wanted = abs(primary.difference)
    times = (primary.detectable / wanted) ** 2 if wanted else math.inf
    users = f"about {times * primary.n_users:,.0f} users" if times < 1000 else "more users than are likely to be had"
    return (
        f"Next step: do not read this as proof that both are equal. If a difference of {wanted:.4f} would matter, "
        f"judge {users}; if only one beyond {max(abs(low), abs(high)):.4f} would, this test part has ruled it out."
    )
