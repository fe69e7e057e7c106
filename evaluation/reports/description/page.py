"""The description as one HTML file, and as JSON."""

from pydantic import TypeAdapter

from belfry.evaluation.reports.description.charts import of_description
from belfry.evaluation.reports.description.result import Description, Point
from belfry.evaluation.reports.pages.rendering import render

_ADAPTER = TypeAdapter(Description)


def page(found: Description) -> str:
    """For people."""
    return render("description.html.j2", of_description(found), found=found, share_at=_share_at)


def to_json(found: Description) -> str:
    """For programs; null is what cannot be said."""
    return _ADAPTER.dump_json(found, indent=2).decode()


def _share_at(curve: tuple[Point, ...], part: float) -> float:
    """The share of the watches that the first `part` has."""
    return max(share for place, share in curve if place <= part + 1e-9)
