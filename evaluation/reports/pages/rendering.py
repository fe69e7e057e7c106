"""A page as one HTML file that needs no network: Jinja2 for its text, Vega-Lite for its charts, both inlined.

Titles and ids are anybody's text: Jinja2 escapes them, data for scripts is JSON without a "<", and a policy in the page
lets no script run but those whose hashes it names.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from belfry.evaluation.registry import label_of
from belfry.evaluation.reports.counterfactual import lines_of
from belfry.evaluation.reports.pages.text import (
    chance,
    change,
    day,
    in_form,
    interval,
    metric_cells,
    number,
    percent,
    plain,
    share,
)
from belfry.evaluation.reports.pages.vega import Spec

_PACKAGE = "belfry.evaluation.reports.pages"


def render(
    template: str,
    figures: Mapping[str, Spec],
    *,
    data: Mapping[str, Any] | None = None,
    scripts: Sequence[str] = (),
    **context: Any,
) -> str:
    """The page of a template.

    Args:
        figures: chart by the id of the element that it is drawn in.
        data: id of an element -> what scripts find there as JSON.
        scripts: files beside the templates that run behind those of every page.
        context: what the template shows.
    """
    sources = [_vega(), *map(_text, ("report.js", *scripts))]
    allowed = " ".join(f"'sha256-{_hash(source)}'" for source in sources)
    return (
        _environment()
        .get_template(template)
        .render(
            policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}",
            style=Markup(_text("report.css")),
            scripts=[Markup(source) for source in sources],
            figures=figures,
            data={name: Markup(_json(value)) for name, value in {"figures": figures, **(data or {})}.items()},
            **context,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "chance": chance,
        "count": "{:,}".format,
        "plain": plain,
        "share": share,
        "percent": percent,
        "in_form": in_form,
        "day": day,
        "metric_name": label_of,
        "metric_cells": metric_cells,
        "sort_value": _sort_value,
    }
    environment.globals |= {"interval": interval, "change": change, "is_nan": math.isnan}
    environment.globals["counterfactual_lines"] = lines_of
    return environment


def _sort_value(value: float | None) -> str:
    """What a column is sorted by; what cannot be said comes last."""
    return "" if value is None or math.isnan(value) else repr(float(value))


def _json(value: Any) -> str:
    """JSON that can stand in a script element: without "<", so that nothing in it can end the element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    script = str(vl_convert.javascript_bundle()).strip()  # type: ignore[call-arg]  # its stub wants a snippet, which has a default
    assert not re.search("</script|<!--", script, re.IGNORECASE)  # would end the element it stands in
    return script


@cache
def _text(name: str) -> str:
    return resources.files(_PACKAGE).joinpath("templates", name).read_text(encoding="utf-8").strip()


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
