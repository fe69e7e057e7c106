"""What the charts of all pages share, as Vega-Lite; colours are variables of the page, which knows its theme."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Spec: TypeAlias = dict[str, Any]

TEXT, MUTED, GRID = "var(--text)", "var(--muted)", "var(--line)"
GAIN, LOSS, NEUTRAL, OTHER = "var(--gain)", "var(--loss)", "var(--accent)", "var(--warn)"

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

_LEGEND: Spec = {"title": None, "orient": "top", "labelColor": TEXT, "labelLimit": 0, "labelFontSize": 12}


def chart(described: str, body: Spec) -> Spec:
    """A chart as wide as its place; `described` is what a screen reader says of it."""
    head = {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "description": described}
    fit = {"type": "fit-x", "contains": "padding"}
    return {**head, "width": "container", "autosize": fit, "config": _CONFIG, **body}


def numbers(field: str, title: str | None = None) -> Spec:
    """The encoding of a numeric field."""
    return {"field": field, "type": "quantitative", **({} if title is None else {"title": title})}


def bars(values: Sequence[tuple[str, float]], x_title: str, y_title: str, described: str) -> Spec:
    """A bar for each label, in the order given."""
    rows = [{"label": label, "value": value} for label, value in values]
    is_long = sum(len(label) + 2 for label, _ in values) > 50
    axis = {"labelAngle": -45 if is_long else 0, "labelOverlap": not is_long, "grid": False}
    return chart(
        described,
        {
            "data": {"values": rows},
            "height": 200,
            "mark": {"type": "bar", "color": NEUTRAL},
            "encoding": {
                "x": {"field": "label", "type": "ordinal", "sort": None, "title": x_title, "axis": axis},
                "y": {**numbers("value", y_title), "axis": {"format": ",d", "tickCount": 5}},
                "tooltip": [
                    {"field": "label", "title": x_title},
                    {"field": "value", "title": y_title, "format": ",.5~r"},
                ],
            },
        },
    )


def ranked_bars(values: Sequence[tuple[str, float]], x_title: str, described: str) -> Spec:
    """A bar for each label, one below the other, in the order given."""
    axis = {"grid": False, "ticks": False, "domain": False, "labelLimit": 170}
    return chart(
        described,
        {
            "data": {"values": [{"label": label, "value": value} for label, value in values]},
            "height": 22 * len(values),
            "mark": {"type": "bar", "color": NEUTRAL},
            "encoding": {
                "y": {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": axis},
                "x": {**numbers("value", x_title), "axis": {"tickCount": 5}},
                "tooltip": [
                    {"field": "label", "title": "what"},
                    {"field": "value", "title": x_title, "format": ",.4~r"},
                ],
            },
        },
    )


def paired_bars(values: Mapping[str, tuple[float, float]], names: tuple[str, str], described: str) -> Spec:
    """Two shares for each label, one below the other."""
    rows = [
        {"label": label, "of": name, "value": value}
        for label, pair in values.items()
        for name, value in zip(names, pair, strict=True)
    ]
    colour = {
        "field": "of",
        "type": "nominal",
        "scale": {"domain": list(names), "range": [MUTED, NEUTRAL]},
        "legend": _LEGEND,
    }
    axis = {"grid": False, "ticks": False, "domain": False, "labelLimit": 120}
    return chart(
        described,
        {
            "data": {"values": rows},
            "height": 24 * len(values),
            "mark": "bar",
            "encoding": {
                "y": {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": axis},
                "yOffset": {"field": "of", "sort": list(names)},
                "x": {**numbers("value", "share"), "axis": {"format": "%", "tickCount": 5}},
                "color": colour,
                "tooltip": [
                    {"field": "label", "title": "value"},
                    {"field": "of", "title": "share of"},
                    {"field": "value", "title": "share", "format": ".1%"},
                ],
            },
        },
    )


def lines(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    x: Spec,
    y: Spec,
    described: str,
    *,
    points: bool = False,
    height: int = 220,
) -> Spec:
    """A line for each curve.

    Args:
        curves: name -> points; with one curve there is no legend.
        x, y: what is said of the axes beside their fields: title, axis, scale.
        points: mark the points, too.
    """
    rows = [{"curve": name, "x": one, "y": other} for name, points_of in curves.items() for one, other in points_of]
    colours = [NEUTRAL, OTHER, GAIN, LOSS, MUTED, TEXT]
    colour: Spec = {
        "field": "curve",
        "type": "nominal",
        "scale": {"domain": list(curves), "range": [colours[place % len(colours)] for place in range(len(curves))]},
        "legend": _LEGEND if len(curves) > 1 else None,
    }
    formats = {axis: spec.get("axis", {}).get("format", ",.4~r") for axis, spec in (("x", x), ("y", y))}
    tooltip = [
        {"field": "x", "title": x["title"], "format": formats["x"]},
        {"field": "y", "title": y["title"], "format": formats["y"]},
    ]
    if x.get("type") == "temporal":
        tooltip[0] |= {"type": "temporal"}
    named = [{"field": "curve", "title": "curve"}] if len(curves) > 1 else []
    shape = {"strokeDash": {**colour, "scale": {"domain": list(curves)}}} if len(curves) > 1 else {}
    return chart(
        described,
        {
            "data": {"values": rows},
            "height": height,
            "mark": {"type": "line", "strokeWidth": 2, "point": points, "interpolate": "linear"},
            "encoding": {
                "x": {"field": "x", "type": "quantitative", **x},
                "y": {"field": "y", "type": "quantitative", **y},
                "color": colour,
                **shape,
                "tooltip": [*named, *tooltip],
            },
        },
    )
