"""The charts of the comparison."""

import math

from belfry.evaluation.registry import label_of
from belfry.evaluation.reports.comparison.result import Bin, Challenger, Comparison
from belfry.evaluation.reports.pages.text import interval, number
from belfry.evaluation.reports.pages.vega import GAIN, LOSS, MUTED, NEUTRAL, TEXT, Spec, chart, numbers

MAX_SLICES_DRAWN = 60


def of_challenger(challenger: Challenger, comparison: Comparison) -> dict[str, Spec]:
    """Every chart of one challenger, by name."""
    primary = label_of(comparison.primary)
    found = {
        "interval": primary_interval(challenger, comparison),
        "histogram": _bars(
            challenger.histogram,
            f"{primary} of {challenger.name} minus {comparison.baseline}, per user",
            f"How many users gained and lost how much in {primary}",
            lower_is_better=challenger.metrics[0].better == "lower",
        ),
        "slices": forest(challenger, comparison),
        "overlap": _bars(
            challenger.changes.overlap_histogram,
            "share of the list that both have",
            "How many users have how much of their list in common between both systems",
            is_signed=False,
        ),
    }
    return {name: spec for name, spec in found.items() if spec["data"]["values"]}


def primary_interval(challenger: Challenger, comparison: Comparison) -> Spec:
    """The primary difference with its interval, beside 0 and what could have been detected."""
    one, seeds = challenger.metrics[0], challenger.seeds
    low, high = (seeds.low, seeds.high) if seeds else (one.low, one.high)
    layers: list[Spec] = []
    if not math.isnan(one.detectable):
        layers.append(
            {
                "data": {"values": [{"low": -one.detectable, "high": one.detectable}]},
                "mark": {"type": "rect", "color": MUTED, "opacity": 0.18, "tooltip": None, "aria": False},
                "encoding": {"x": numbers("low"), "x2": {"field": "high"}},
            }
        )
    rule = {"strokeWidth": 6, "color": _colour(low, high, one.better), "strokeCap": "round"}
    x_title = f"{label_of(one.metric)}: {challenger.name} minus {comparison.baseline}"
    tooltip = [{"field": "summary", "title": "difference [95%]"}]
    values = [_interval(one.difference, low, high)]
    layers += _differences(values, x_title, tooltip, rule=rule, point={"size": 160, "color": TEXT})
    described = f"{label_of(one.metric)} differs by {interval(one.difference, low, high)}; 0 would be no difference"
    return chart(described, {"data": {"values": values}, "layer": layers, "height": 56})


def forest(challenger: Challenger, comparison: Comparison) -> Spec:
    """One interval for each slice, those with one, in the order of the table."""
    drawn = [one for one in challenger.slices if not math.isnan(one.low)][:MAX_SLICES_DRAWN]
    values = [
        {
            "place": place,
            "label": f"{one.dimension}: {one.group}",
            **_interval(one.difference, one.low, one.high),
            "n": f"{one.n_users:,}",
            "after": "shown" if one.p_holm < comparison.settings.alpha else "not shown after correction",
        }
        for place, one in enumerate(drawn)
    ]
    tooltip = [
        {"field": "label", "title": "group"},
        {"field": "summary", "title": "difference [95%]"},
        {"field": "n", "title": "users"},
        {"field": "after", "title": "with Holm"},
    ]
    axis = {"grid": False, "ticks": False, "domain": False}
    y = {"field": "label", "type": "nominal", "sort": {"field": "place"}, "title": None, "axis": axis}
    x_title = f"{label_of(comparison.primary)}: {challenger.name} minus {comparison.baseline}"
    colour = {"condition": {"test": "datum.after == 'shown'", "value": NEUTRAL}, "value": MUTED}
    layers = _differences(values, x_title, tooltip, rule={"strokeWidth": 2}, point={"size": 60}, y=y, color=colour)
    return chart(
        f"{label_of(comparison.primary)} difference with 95% interval for each group of users",
        {"data": {"values": values}, "height": 20 * len(values), "layer": layers},
    )


def tradeoff(comparison: Comparison) -> Spec:
    """Accuracy against coverage, a point for each system."""
    primary, coverage = comparison.primary, f"coverage@{comparison.settings.n}"
    values = [
        {
            "name": system.name,
            "x": system.metrics[coverage],
            "y": system.metrics[primary],
            "summary": f"{number(system.metrics[primary])} at coverage {number(system.metrics[coverage])}",
        }
        for system in comparison.systems
    ]
    x = {**numbers("x", label_of(coverage)), "scale": {"zero": False, "padding": 40}}
    y = {**numbers("y", label_of(primary)), "scale": {"zero": False, "padding": 24}}
    tooltip = [{"field": "name", "title": "system"}, {"field": "summary", "title": label_of(primary)}]
    point = {"type": "point", "filled": True, "size": 120, "color": NEUTRAL, "opacity": 1}
    text = {"type": "text", "dy": -14, "color": TEXT, "limit": 160}
    layers = [
        {"mark": point, "encoding": {"x": x, "y": y, "tooltip": tooltip}},
        {"mark": text, "encoding": {"x": x, "y": y, "text": {"field": "name"}}},
    ]
    return chart(
        f"{label_of(primary)} against coverage, one point for each system; up and to the right is better",
        {"data": {"values": values}, "height": 260, "layer": layers},
    )


def board(comparison: Comparison) -> Spec:
    """The primary difference of every challenger with its interval."""
    values = []
    for one in comparison.challengers:
        first, widest = one.metrics[0], one.seeds or one.metrics[0]
        row = {"name": one.name, **_interval(first.difference, widest.low, widest.high)}
        told = f"{one.verdict.outcome}: {interval(first.difference, first.low, first.high)}"
        values.append({**row, "summary": told})
    order = [one.name for one in sorted(comparison.challengers, key=lambda one: -one.metrics[0].difference)]
    y = {"field": "name", "type": "nominal", "sort": order, "title": None, "axis": {"grid": False, "ticks": False}}
    tooltip = [{"field": "name", "title": "system"}, {"field": "summary", "title": "verdict"}]
    layers = _differences(
        values,
        f"{label_of(comparison.primary)} minus {comparison.baseline}",
        tooltip,
        rule={"strokeWidth": 3, "color": NEUTRAL},
        point={"size": 90, "color": TEXT},
        y=y,
    )
    return chart(
        f"{label_of(comparison.primary)} difference of every system to {comparison.baseline}, with 95% interval",
        {"data": {"values": values}, "height": 28 * len(values), "layer": layers},
    )


def _bars(
    bins: tuple[Bin, ...], x_title: str, described: str, *, is_signed: bool = True, lower_is_better: bool = False
) -> Spec:
    values = [
        {
            "low": one.low,
            "high": one.high,
            "users": one.n_users,
            "range": f"{one.low:+.3f} to {one.high:+.3f}" if is_signed else f"{one.low:.0%}",
            "side": "loss" if (one.high <= 1e-12) != lower_is_better else "gain",
        }
        for one in bins
    ]
    colour = {
        "field": "side",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["loss", "gain"], "range": [LOSS, GAIN]},
    }
    return chart(
        described,
        {
            "data": {"values": values},
            "height": 220,
            "mark": {"type": "bar", "binSpacing": 1},
            "encoding": {
                "x": {"field": "low", "type": "quantitative", "bin": {"binned": True}, "title": x_title},
                "x2": {"field": "high"},
                "y": {"field": "users", "type": "quantitative", "title": "users"},
                "color": colour if is_signed else {"value": NEUTRAL},
                "tooltip": [{"field": "range", "title": x_title}, {"field": "users", "title": "users", "format": ","}],
            },
        },
    )


def _interval(difference: float, low: float, high: float) -> Spec:
    """The row of a difference that `_differences` draws."""
    return {
        "difference": difference,
        "low": _or_none(low),
        "high": _or_none(high),
        "summary": interval(difference, low, high),
    }


def _differences(
    values: list[Spec], x_title: str, tooltip: list[Spec], *, rule: Spec, point: Spec, **shared: Spec
) -> list[Spec]:
    """Layers: a line where there is no difference, intervals, where there are any, as rules, differences as points.

    Args:
        values: rows of `_interval`.
        rule, point: further properties of the marks.
        shared: encodings of both.
    """
    zero = {"type": "rule", "color": TEXT, "strokeDash": [4, 3], "tooltip": None, "aria": False}
    ends = {"x": numbers("low", x_title), "x2": {"field": "high"}}
    rules = {"mark": {"type": "rule", **rule}, "encoding": {**ends, **shared, "tooltip": tooltip}}
    return [
        {"mark": zero, "encoding": {"x": {"datum": 0, "type": "quantitative"}}},
        *([rules] if any(value["low"] is not None for value in values) else []),
        {
            "mark": {"type": "point", "filled": True, "opacity": 1, **point},
            "encoding": {"x": numbers("difference", x_title), **shared, "tooltip": tooltip},
        },
    ]


def _colour(low: float, high: float, better: str | None) -> str:
    if math.isnan(low) or low <= 0 <= high:
        return NEUTRAL
    return GAIN if (low > 0) == (better != "lower") else LOSS


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
