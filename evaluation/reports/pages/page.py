"""The comparison as one HTML file."""

from typing import Any

from belfry.evaluation.reports.comparison.result import Comparison
from belfry.evaluation.reports.pages import charts
from belfry.evaluation.reports.pages.rendering import render
from belfry.evaluation.reports.pages.text import METRIC_HEAD, leaderboard
from belfry.evaluation.reports.pages.vega import Spec


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


def _render(template: str, comparison: Comparison, figures: dict[str, Spec], **more: Any) -> str:
    return render(template, figures, comparison=comparison, leaderboard=leaderboard(comparison), **more)
