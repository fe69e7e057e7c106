"""The comparison as Markdown: the same report as the page, as text."""

import math
from collections.abc import Iterable, Sequence

from belfry.evaluation.registry import label_of
from belfry.evaluation.reports.comparison.result import Challenger, Comparison, Example
from belfry.evaluation.reports.counterfactual import lines_of
from belfry.evaluation.reports.escape import markdown_of, markdown_row
from belfry.evaluation.reports.pages.text import (
    METRIC_HEAD,
    chance,
    change,
    interval,
    leaderboard,
    metric_cells,
    number,
)

N_LISTED = 10  # places of an example's list


def to_markdown(comparison: Comparison) -> str:
    """The same report as the HTML page, as text."""
    lines = [f"# {' and '.join(c.name for c in comparison.challengers)} against {comparison.baseline}", ""]
    if len(comparison.challengers) > 1:
        lines += ["## Leaderboard", "", *_leaderboard(comparison), ""]
    for challenger in comparison.challengers:
        lines += _challenger(challenger, comparison)
    lines += ["## What was checked", "", *_verification(comparison), ""]
    return markdown_of(lines)


def _challenger(challenger: Challenger, comparison: Comparison) -> list[str]:
    verdict, baseline = challenger.verdict, comparison.baseline
    metrics = ([label_of(one.metric), *(text for text, _ in metric_cells(one))] for one in challenger.metrics)
    lines = [
        f"## {challenger.name}: {verdict.outcome}",
        "",
        *(f"{text}\n" for text in (f"**{verdict.headline}**", verdict.size, verdict.uncertainty, verdict.next_step)),
        "### Guardrails",
        "",
        *_table(
            ("metric", "change", "95% interval", "limit", "state"),
            (
                (
                    label_of(one.metric),
                    change(one, one.change),
                    "-" if math.isnan(one.low) else f"{change(one, one.low)} to {change(one, one.high)}",
                    change(one, one.limit),
                    one.state,
                )
                for one in challenger.guardrails
            ),
        ),
        "",
        "### Metrics",
        "",
        *_table(("metric", baseline, challenger.name, *METRIC_HEAD), metrics),
        "",
        "p: paired randomisation test. Holm and BH (Benjamini-Hochberg): over the metrics of this table with tests. "
        "effect: difference / standard deviation of the differences. detectable: the smallest true difference that "
        f"would be found in {comparison.settings.power:.0%} of cases.",
        "",
    ]
    if seeds := challenger.seeds:
        lines += [
            "### Runs of training",
            "",
            f"{seeds.n_runs_baseline} and {seeds.n_runs_challenger} runs. Difference {number(seeds.difference, True)} "
            f"[{number(seeds.low, True)}, {number(seeds.high, True)}], p {chance(seeds.p)}; standard error "
            f"{seeds.error_users:.5f} from users, {seeds.error_training:.5f} from training.",
            "",
        ]
    lines += [
        "### Where",
        "",
        *_table(
            ("users", "group", "n", baseline, challenger.name, "difference [95%]", "p", "p (Holm)"),
            (
                (
                    one.dimension,
                    one.group,
                    f"{one.n_users:,}",
                    number(one.baseline),
                    number(one.challenger),
                    interval(one.difference, one.low, one.high),
                    chance(one.p),
                    chance(one.p_holm),
                )
                for one in challenger.slices
            ),
        ),
        "",
        "### What changed",
        "",
        *_changes(challenger, baseline),
        "",
        "### Users who lost most",
        "",
        *([] if challenger.losers else ["Nobody lost.", ""]),
    ]
    for example in challenger.losers:
        lines += [*_example(example, baseline, challenger.name), ""]
    if challenger.counterfactual:
        lines += ["### Counterfactual", "", *_counterfactual(challenger), ""]
    return lines


def _leaderboard(comparison: Comparison) -> list[str]:
    rows = []
    for rank in leaderboard(comparison):
        one = rank.challenger
        rows.append(
            (
                str(rank.place),
                rank.system.name,
                number(rank.system.metrics[comparison.primary]),
                interval(one.metrics[0].difference, one.metrics[0].low, one.metrics[0].high) if one else "baseline",
                chance(one.p_primary) if one else "",
                one.verdict.outcome if one else "",
            )
        )
    head = (
        "",
        "system",
        label_of(comparison.primary),
        f"minus {comparison.baseline}",
        "p (Holm over systems)",
        "verdict",
    )
    return _table(head, rows)


def _changes(challenger: Challenger, baseline: str) -> list[str]:
    one = challenger.changes
    lines = [
        f"Lists share {one.overlap:.0%} of their items on average; rank-biased overlap is {one.rbo:.2f} (persistence "
        f"{one.rbo_persistence}). {one.n_same:,} of {one.n_users:,} users get the same list.",
        "",
    ]
    for title, items in (("More often", one.promoted), ("Less often", one.demoted)):
        rows = (
            (item.title or str(item.item_id), f"{item.baseline:,}", f"{item.challenger:,}", f"{item.popularity:,}")
            for item in items
        )
        lines += [*_table((title, baseline, challenger.name, "watched by"), rows), ""]
    if one.origins:
        origins = ((origin.name, f"{origin.baseline:.1%}", f"{origin.challenger:.1%}") for origin in one.origins)
        lines += _table(("origin", baseline, challenger.name), origins)
    return lines


def _example(example: Example, baseline: str, challenger: str) -> list[str]:
    lists = (example.baseline_list[:N_LISTED], example.challenger_list[:N_LISTED])
    longest = max(map(len, lists))
    rows = [
        (
            str(place + 1),
            *(
                (f"{'✓ ' if one[place].is_hit else ''}{one[place].title or one[place].item_id}")
                if place < len(one)
                else ""
                for one in lists
            ),
        )
        for place in range(longest)
    ]
    return [
        f"User {example.user_id}: {number(example.baseline)} became {number(example.challenger)}; "
        f"{example.n_history:,} watches before, {example.n_test:,} test items.",
        "",
        *_table(("rank", baseline, challenger), rows),
    ]


def _counterfactual(challenger: Challenger) -> list[str]:
    found = challenger.counterfactual
    assert found
    if found.refused:
        return ["No answer:", "", *(f"- {reason}." for reason in found.refused)]
    rows = (
        (
            value.estimator,
            *(
                interval(*ends).replace("+", "")
                for ends in (
                    (value.baseline, value.baseline_low, value.baseline_high),
                    (value.challenger, value.challenger_low, value.challenger_high),
                )
            ),
            interval(value.difference, value.low, value.high),
        )
        for value in found.values
    )
    return [
        *lines_of(found, ("the baseline", challenger.name)),
        "",
        *_table(("estimator", "baseline", challenger.name, "difference [95%]"), rows),
    ]


def _verification(comparison: Comparison) -> list[str]:
    found = comparison.verification
    return [
        f"{found.n_users:,} users judged by {found.n_test_rows:,} test rows; {found.n_train_rows:,} earlier watches; a "
        f"catalogue of {found.n_items:,} items; full ranking.",
        "",
        *_table(
            ("table", "rows", "users", "longest list", "not judged", "unknown", "judged without a list"),
            (
                (
                    one.label,
                    f"{one.n_rows:,}",
                    f"{one.n_users:,}",
                    str(one.longest_list),
                    f"{one.n_users_not_judged:,}",
                    f"{one.n_users_unknown:,}",
                    f"{one.n_judged_without_list:,}",
                )
                for one in found.tables
            ),
        ),
        "",
        *([f"- {count.n:,} users: {count.reason}." for count in found.left_out] or ["- Nobody is left out."]),
        *(f"- {note}" for note in found.notes),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [markdown_row(head), f"|{'---|' * len(head)}", *map(markdown_row, rows)]
