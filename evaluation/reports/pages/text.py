"""How figures are written, in Markdown and on the page; and in which order systems are ranked."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from belfry.evaluation.reports.comparison.result import Challenger, Comparison, Difference, Guardrail, System

METRIC_HEAD = {  # of `metric_cells` behind the systems' own, with what each means
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


def plain(value: float | None) -> str:
    """Three digits, whole numbers whole."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def share(value: float | None) -> str:
    """A part of a whole, in percent."""
    return "-" if value is None or math.isnan(value) else f"{value:.1%}"


def percent(value: float) -> str:
    """A part of a whole that may be small, in percent, with three digits."""
    return f"{value * 100:.3g}%"


def in_form(value: float, form: str, signed: bool = False) -> str:
    """A figure that is a "count", a "share" or a "number"."""
    return format(value, ("+" if signed else "") + {"count": ",.0f", "share": ".1%", "number": ",.2f"}[form])


def day(time_s: int) -> str:
    """The day of a time, UTC."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")


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


def metric_cells(one: Difference) -> list[tuple[str, float]]:
    """The cells of a metric's row behind its name, each with what its column is sorted by."""
    has_test = not math.isnan(one.p_randomisation)
    p_values = one.p_randomisation, one.p_holm, one.p_benjamini_hochberg, one.p_t, one.p_wilcoxon
    return [
        (number(one.baseline), one.baseline),
        (number(one.challenger), one.challenger),
        (interval(one.difference, one.low, one.high), one.difference),
        *((chance(p), p) for p in p_values),
        (number(one.effect_size, True) if has_test else "-", one.effect_size),
        (f"{one.wins:,}/{one.ties:,}/{one.losses:,}" if has_test else "-", one.wins - one.losses),
        (number(one.detectable), one.detectable),
        (f"{one.n_users:,}", one.n_users),
    ]


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
