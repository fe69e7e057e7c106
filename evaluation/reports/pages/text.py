"""How figures are written, in Markdown and on the page; and in which order systems are ranked."""

import math
from dataclasses import dataclass

from belfry.evaluation.registry import label_of
from belfry.evaluation.reports.comparison.result import Challenger, Comparison, Difference, Guardrail, System

METRIC_HEAD = {  # of the cells of `metric_row` behind the systems' own, with what each means
    "difference [95%]": "challenger minus baseline, mean over users, with its 95% BCa bootstrap interval",
    "p": "paired randomisation test: how often chance alone makes a difference as large",
    "p (Holm)": "the same, allowing for all metrics in this table: any false finding",
    "p (BH)": "the same after Benjamini and Hochberg: the share of false findings",
    "p (t)": "paired t test",
    "p (Wilcoxon)": "signed-rank test",
    "effect": "difference / standard deviation of the differences",
    "win/tie/loss": "users for whom the challenger's value is higher, the same, lower",
    "detectable": "smallest true difference that would be found in 80% of cases",
    "users": "who have a value in both",
}


def number(value: float | None, signed: bool = False) -> str:
    """Four places, "-" for what cannot be said; large numbers with fewer."""
    if value is None or math.isnan(value):
        return "-"
    places = 4 if abs(value) < 100 else 1
    return f"{value:+.{places}f}" if signed else f"{value:.{places}f}"


def chance(p: float | None) -> str:
    """A p value."""
    if p is None or math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def change(guardrail: Guardrail, value: float) -> str:
    """A change in the unit of a guardrail's limit."""
    if math.isnan(value):
        return "-"
    return f"{value:+.1%}" if guardrail.is_relative else f"{value:+.4f}"


def interval(value: float, low: float, high: float) -> str:
    """A difference with its interval, where it has one."""
    if math.isnan(low):
        return number(value, True)
    return f"{number(value, True)} [{number(low, True)}, {number(high, True)}]"


def metric_row(one: Difference) -> tuple[str, ...]:
    """The cells of a metric's row."""
    has_test = not math.isnan(one.p_randomisation)
    return (
        label_of(one.metric),
        number(one.baseline),
        number(one.challenger),
        interval(one.difference, one.low, one.high),
        chance(one.p_randomisation),
        chance(one.p_holm),
        chance(one.p_benjamini_hochberg),
        chance(one.p_t),
        chance(one.p_wilcoxon),
        number(one.effect_size, True) if has_test else "-",
        f"{one.wins:,}/{one.ties:,}/{one.losses:,}" if has_test else "-",
        number(one.detectable),
        f"{one.n_users:,}",
    )


@dataclass(frozen=True)
class Rank:
    """A row of the leaderboard."""

    place: int
    system: System
    challenger: Challenger | None  # None for the baseline


def leaderboard(comparison: Comparison) -> list[Rank]:
    """All systems by the primary metric, best first."""
    sign = -1 if comparison.challengers[0].metrics[0].better == "lower" else 1
    order = sorted(comparison.systems, key=lambda system: -sign * system.metrics[comparison.primary])
    by_name = {challenger.name: challenger for challenger in comparison.challengers}
    return [Rank(place, system, by_name.get(system.name)) for place, system in enumerate(order, 1)]
