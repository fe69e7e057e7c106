"""The description as one HTML file."""

from belfry.evaluation.reports.description.charts import of_description
from belfry.evaluation.reports.description.result import Description, Point
from belfry.evaluation.reports.pages.rendering import render


def page(found: Description) -> str:
    """For people."""
    return render("description.html.j2", of_description(found), found=found, share_at=_share_at)


def _share_at(curve: tuple[Point, ...], part: float) -> float:
    """The share of the watches that the first `part` has."""
    return max(share for place, share in curve if place <= part + 1e-9)
