"""What a log of shown items says that lists would have earned, as a section of an evaluation."""

from collections.abc import Iterator

from belfry.evaluation.reports.comparison.result import Counterfactual
from belfry.evaluation.reports.counterfactual import SHOWN, lines_of
from belfry.evaluation.reports.escape import markdown_table

THESE = "these lists"


def feedback_rows(found: Counterfactual) -> Iterator[list[str]]:
    """A head, then a row for each estimator; none where there is no answer."""
    if found.values:
        yield ["estimator", SHOWN, THESE, "difference"]
    for value in found.values:
        yield [
            value.estimator,
            f"{value.baseline:.4f} [{value.baseline_low:.4f}, {value.baseline_high:.4f}]",
            f"{value.challenger:.4f} [{value.challenger_low:.4f}, {value.challenger_high:.4f}]",
            f"{value.difference:+.4f} [{value.low:+.4f}, {value.high:+.4f}]",
        ]


def feedback_lines(found: Counterfactual) -> list[str]:
    """What the figures rest on, or why there are none."""
    if found.refused:
        return [f"What the lists would have earned cannot be said: {reason}." for reason in found.refused]
    return lines_of(found, (SHOWN, THESE))


def feedback_section(found: Counterfactual) -> list[str]:
    """As Markdown."""
    head, *rows = [*feedback_rows(found)] or [[]]
    table = [*markdown_table(head, rows), ""] if rows else []
    return [
        "## What these lists would have earned",
        "",
        "Mean reward for a place, told from the log by the chance that each of its items had to be shown. It is taken "
        "not to depend on the place. A difference whose interval leaves out 0 is unlikely to be chance; of the three, "
        "trust doubly robust first.",
        "",
        *table,
        *feedback_lines(found),
        "",
    ]
