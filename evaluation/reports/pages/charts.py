"""The charts of the report as Vega-Lite specifications; colours are variables of the page, which knows its theme."""

import math
from typing import Any, TypeAlias

from belfry.evaluation.reports.comparison.result import Bin, Challenger, Comparison
from belfry.evaluation.reports.comparison.verdict import name_of
from belfry.evaluation.reports.pages.text import interval, number

Spec: TypeAlias = dict[str, Any]

TEXT, MUTED, GRID = "var(--text)", "var(--muted)", "var(--line)"
GAIN, LOSS, NEUTRAL = "var(--gain)", "var(--loss)", "var(--accent)"
MAX_SLICES_DRAWN = 60

_CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": TEXT,
        "titleColor": TEXT,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "gridColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 200,
    },
    "axisX": {"tickCount": 7},
    "text": {"color": TEXT, "fontSize": 12},
}


def of_challenger(challenger: Challenger, comparison: Comparison) -> dict[str, Spec]:
    """Every chart of one challenger, by name."""
    primary = name_of(comparison.primary)
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
    values = [
        {
            "difference": one.difference,
            "low": _or_none(low),
            "high": _or_none(high),
            "summary": interval(one.difference, low, high),
        }
    ]
    layers: list[Spec] = []
    if not math.isnan(one.detectable):
        layers.append(
            {
                "data": {"values": [{"low": -one.detectable, "high": one.detectable}]},
                "mark": {"type": "rect", "color": MUTED, "opacity": 0.18, "tooltip": None, "aria": False},
                "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
            }
        )
    summary = [{"field": "summary", "title": "difference [95%]"}]
    layers += [
        _zero(),
        {
            "mark": {"type": "rule", "strokeWidth": 6, "color": _colour(low, high, one.better), "strokeCap": "round"},
            "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "tooltip": summary},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 160, "color": TEXT, "opacity": 1},
            "encoding": {
                "x": {
                    "field": "difference",
                    "type": "quantitative",
                    "title": f"{name_of(one.metric)}: {challenger.name} minus {comparison.baseline}",
                },
                "tooltip": summary,
            },
        },
    ]
    described = f"{name_of(one.metric)} differs by {interval(one.difference, low, high)}; 0 would be no difference"
    return _spec(described, {"data": {"values": values}, "layer": layers, "height": 56})


def forest(challenger: Challenger, comparison: Comparison) -> Spec:
    """One interval for each slice, those with one, in the order of the table."""
    drawn = [one for one in challenger.slices if not math.isnan(one.low)][:MAX_SLICES_DRAWN]
    values = [
        {
            "place": place,
            "label": f"{one.dimension}: {one.group}",
            "difference": one.difference,
            "low": one.low,
            "high": one.high,
            "summary": interval(one.difference, one.low, one.high),
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
    y = {
        "field": "label",
        "type": "nominal",
        "sort": {"field": "place"},
        "title": None,
        "axis": {"grid": False, "ticks": False, "domain": False},
    }
    x_title = f"{name_of(comparison.primary)}: {challenger.name} minus {comparison.baseline}"
    colour = {"condition": {"test": "datum.after == 'shown'", "value": NEUTRAL}, "value": MUTED}
    return _spec(
        f"{name_of(comparison.primary)} difference with 95% interval for each group of users",
        {
            "data": {"values": values},
            "height": 20 * len(values),
            "layer": [
                _zero(),
                {
                    "mark": {"type": "rule", "strokeWidth": 2},
                    "encoding": {
                        "y": y,
                        "x": {"field": "low", "type": "quantitative", "title": x_title},
                        "x2": {"field": "high"},
                        "color": colour,
                        "tooltip": tooltip,
                    },
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                    "encoding": {
                        "y": y,
                        "x": {
                            "field": "difference",
                            "type": "quantitative",
                            "title": x_title,
                        },
                        "color": colour,
                        "tooltip": tooltip,
                    },
                },
            ],
        },
    )


def tradeoff(comparison: Comparison) -> Spec:
    """Accuracy against coverage, a point for each system."""
    n, primary = comparison.settings.n, comparison.primary
    coverage = f"coverage@{n}"
    values = [
        {
            "name": system.name,
            "x": system.metrics[coverage],
            "y": system.metrics[primary],
            "summary": f"{number(system.metrics[primary])} at coverage {number(system.metrics[coverage])}",
        }
        for system in comparison.systems
    ]
    x = {"field": "x", "type": "quantitative", "title": name_of(coverage), "scale": {"zero": False, "padding": 40}}
    y = {"field": "y", "type": "quantitative", "title": name_of(primary), "scale": {"zero": False, "padding": 24}}
    tooltip = [{"field": "name", "title": "system"}, {"field": "summary", "title": name_of(primary)}]
    return _spec(
        f"{name_of(primary)} against coverage, one point for each system; up and to the right is better",
        {
            "data": {"values": values},
            "height": 260,
            "layer": [
                {
                    "mark": {"type": "point", "filled": True, "size": 120, "color": NEUTRAL, "opacity": 1},
                    "encoding": {"x": x, "y": y, "tooltip": tooltip},
                },
                {
                    "mark": {"type": "text", "dy": -14, "color": TEXT, "limit": 160},
                    "encoding": {"x": x, "y": y, "text": {"field": "name"}},
                },
            ],
        },
    )


def board(comparison: Comparison) -> Spec:
    """The primary difference of every challenger with its interval."""
    values = [
        {
            "name": one.name,
            "difference": first.difference,
            "low": _or_none(one.seeds.low if one.seeds else first.low),
            "high": _or_none(one.seeds.high if one.seeds else first.high),
            "summary": f"{one.verdict.outcome}: {interval(first.difference, first.low, first.high)}",
        }
        for one in comparison.challengers
        for first in one.metrics[:1]
    ]
    order = [one.name for one in sorted(comparison.challengers, key=lambda one: -one.metrics[0].difference)]
    y = {"field": "name", "type": "nominal", "sort": order, "title": None, "axis": {"grid": False, "ticks": False}}
    x_title = f"{name_of(comparison.primary)} minus {comparison.baseline}"
    tooltip = [{"field": "name", "title": "system"}, {"field": "summary", "title": "verdict"}]
    return _spec(
        f"{name_of(comparison.primary)} difference of every system to {comparison.baseline}, with 95% interval",
        {
            "data": {"values": values},
            "height": 28 * len(values),
            "layer": [
                _zero(),
                {
                    "mark": {"type": "rule", "strokeWidth": 3, "color": NEUTRAL},
                    "encoding": {
                        "y": y,
                        "x": {"field": "low", "type": "quantitative", "title": x_title},
                        "x2": {"field": "high"},
                        "tooltip": tooltip,
                    },
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 90, "color": TEXT, "opacity": 1},
                    "encoding": {
                        "y": y,
                        "x": {
                            "field": "difference",
                            "type": "quantitative",
                            "title": x_title,
                        },
                        "tooltip": tooltip,
                    },
                },
            ],
        },
    )


def _bars(
    bins: tuple[Bin, ...],
    x_title: str,
    described: str,
    *,
    is_signed: bool = True,
    lower_is_better: bool = False,
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
    return _spec(
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


def _zero() -> Spec:
    """A line where there is no difference."""
    return {
        "mark": {"type": "rule", "color": TEXT, "strokeDash": [4, 3], "tooltip": None, "aria": False},
        "encoding": {"x": {"datum": 0, "type": "quantitative"}},
    }


def _spec(described: str, body: Spec) -> Spec:
    head = {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "description": described}
    fit = {"type": "fit-x", "contains": "padding"}
    return {**head, "width": "container", "autosize": fit, "config": _CONFIG, **body}


def _colour(low: float, high: float, better: str | None) -> str:
    if math.isnan(low) or low <= 0 <= high:
        return NEUTRAL
    return GAIN if (low > 0) == (better != "lower") else LOSS


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
