"""The comparison as one HTML file that needs no network: Jinja2 for the page, Vega-Lite for its charts, both inlined.

Titles and ids are anybody's text: Jinja2 escapes them, data for charts is JSON without a "<", and a policy in the page
lets no script run but those whose hashes it names.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from belfry.evaluation.registry import label_of
from belfry.evaluation.reports.comparison.result import Challenger, Comparison
from belfry.evaluation.reports.pages import charts
from belfry.evaluation.reports.pages.text import (
    METRIC_HEAD,
    chance,
    change,
    interval,
    leaderboard,
    metric_cells,
    number,
)


def page(comparison: Comparison) -> str:
    """The report."""
    figures = {
        f"chart-{place}-{name}": spec
        for place, challenger in enumerate(comparison.challengers)
        for name, spec in charts.of_challenger(challenger, comparison).items()
    }
    figures["chart-tradeoff"] = charts.tradeoff(comparison)
    return _render("comparison.html.j2", comparison, figures, metric_head=METRIC_HEAD.items())


def leaderboard_page(comparison: Comparison) -> str:
    """All systems on one page, best first."""
    figures = {"chart-board": charts.board(comparison), "chart-tradeoff": charts.tradeoff(comparison)}
    return _render("leaderboard.html.j2", comparison, figures)


def _render(template: str, comparison: Comparison, figures: dict[str, dict[str, Any]], **more: Any) -> str:
    scripts = [_vega(), _text("report.js")]
    sources = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        _environment()
        .get_template(template)
        .render(
            comparison=comparison,
            policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {sources}",
            style=Markup(_text("report.css")),
            scripts=[Markup(script) for script in scripts],
            figures=Markup(_json(figures)),
            leaderboard=leaderboard(comparison),
            **more,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("belfry.evaluation.reports.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "chance": chance,
        "metric_name": label_of,
        "metric_cells": metric_cells,
        "sort_value": _sort_value,
    }
    environment.globals |= {"interval": interval, "change": change, "is_nan": math.isnan, "dimensions": _dimensions}
    return environment


def _sort_value(value: float) -> str:
    """What a column is sorted by; what cannot be said comes last."""
    return "" if value is None or math.isnan(value) else repr(float(value))


def _dimensions(challenger: Challenger) -> Iterator[str]:
    yield from dict.fromkeys(one.dimension for one in challenger.slices)


def _json(value: Any) -> str:
    """JSON that can stand in a script element: without "<", so that nothing in it can end the element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    script = str(vl_convert.javascript_bundle()).strip()  # type: ignore[call-arg]  # its stub wants a snippet, which has a default
    assert not re.search("</script|<!--", script, re.IGNORECASE)  # would end the element it stands in
    return script


@cache
def _text(name: str) -> str:
    return (
        resources.files("belfry.evaluation.reports.pages")
        .joinpath("templates", name)
        .read_text(encoding="utf-8")
        .strip()
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
