"""Formatting: lists as lines and for programs, reports as a table for the terminal."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from belfry.dataset.errors import printable
from belfry.pipeline.cli.colour import NAMES, Meaning, rich_console

if TYPE_CHECKING:
    from pydantic import JsonValue

    from belfry.evaluation.intervals import Interval
    from belfry.evaluation.reports.evaluation import EvaluationReport
    from belfry.pipeline.runs.manifest import Manifest
    from belfry.pipeline.runs.registry.listed import ListedRun
    from belfry.pipeline.serving.results import Explanation, Recommendation
    from belfry.pipeline.stopwatch import Stopwatch

LONGEST_SHOWN = 100  # signs of a title or an id
WIDTH_OF_INTERVALS = 150  # columns of a terminal

HOW_TO_READ_REASONS = """
watched   what was watched that speaks for the item, and its share of all that does
features  what moves the item up (+) or down (-) among the candidates: change of the log-odds when it is taken away;
          in cold lists, of the log of watches. Features that say the same hide one another: nothing here adds up.
"""


def lines_of_list(user: str, results: Sequence["Recommendation"]) -> Iterator[str]:
    """The user, then a line for each place, with its reasons below it where there are any."""
    user = _shown(user)
    status = " (cold: popular now)" if any(result.is_cold for result in results) else ""
    yield f"user {user}{status}" if results else f"user {user}: nothing left to recommend"
    for result in results:
        item_id, title = _shown(result.item_id), _shown(result.title or "")
        rating = "" if result.expected_rating is None else f"  expected rating {result.expected_rating:.2f}"
        rating += "" if result.rating_deviation is None else f" +- {result.rating_deviation:.2f}"
        chance = "" if result.propensity is None else f"  chance {result.propensity:.3g}"
        yield f"{result.rank:4}  {item_id}  {title}  {result.score:.3f}  {result.origin}{rating}{chance}"
        if result.because:
            yield from _lines_of_reasons(result.because)


def json_of_list(results: Sequence["Recommendation"]) -> list[dict[str, object]]:
    """The places of a list with their fields by name."""
    return [place._asdict() | {"because": _json_of_reasons(place.because)} for place in results]


def _json_of_reasons(because: "Explanation | None") -> dict[str, object] | None:
    if because is None:
        return None
    return {name: [one._asdict() for one in part] for name, part in because._asdict().items()}


def _lines_of_reasons(because: "Explanation") -> Iterator[str]:
    if because.watched:
        shares = (f"{_shown(watched.title or watched.item_id)} {watched.share:.0%}" for watched in because.watched)
        yield f"      watched   {', '.join(shares)}"
    if because.features:
        changes = (f"{_shown(effect.feature)} {effect.change:+.2f}" for effect in because.features)
        yield f"      features  {', '.join(changes)}"


def _shown(value: object) -> str:
    """An id or a title on a part of a line."""
    return printable(str(value), LONGEST_SHOWN)


def show_report(report: "EvaluationReport") -> None:
    """The report as a table, who was left out, where the loss is, and how far scores are from probabilities.

    A narrow terminal has no room for the intervals, nor for lines between columns.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from belfry.evaluation.reports.attribution import attribution_lines
    from belfry.evaluation.reports.evaluation import to_rows
    from belfry.evaluation.reports.feedback import feedback_lines, feedback_rows
    from belfry.evaluation.reports.rule_prices import price_rows

    console = rich_console()
    is_narrow = console.width < WIDTH_OF_INTERVALS
    head, *rows = to_rows(report)
    table = Table(
        title=escape(f"{_shown(report.run)}, {_shown(report.split)} split, {report.n_users:,} users"),
        caption="95% intervals over users are in evaluation.md" if is_narrow else None,
        box=box.SIMPLE_HEAD if is_narrow else box.HEAVY_HEAD,
        padding=0 if is_narrow else (0, 1),
    )
    for place, name in enumerate(head):
        justify: Literal["left", "right"] = "right" if place else "left"
        table.add_column(escape(_shown(name)), justify=justify, no_wrap=not place, overflow="fold")
    differences = report.difference.metrics if report.difference else {}
    for row in rows:
        cells = [escape(cell.partition(" [")[0] if is_narrow else cell) for cell in row]
        if meaning := _meaning(row[0], differences.get(row[0])):
            cells[-1] = f"[{NAMES[meaning]}]{cells[-1]}[/]"
        table.add_row(*cells)
    console.print(table)
    if report.rules:
        head, *rows = price_rows(report.rules)
        prices = Table(*head, title="what each rule costs")
        for row in rows:
            prices.add_row(*(escape(cell.partition(" (")[0] if is_narrow else cell) for cell in row))
        console.print(prices)
    lines = [f"left out: {left}" for left in report.left_out]
    lines += ["", *attribution_lines(report.attribution)] if report.attribution else []
    if report.feedback:
        if estimates := [*feedback_rows(report.feedback)]:
            earned = Table(*estimates[0], title="what the lists would have earned")
            for row in estimates[1:]:
                earned.add_row(*(cell.partition(" [")[0] if is_narrow else cell for cell in row))
            console.print(earned)
        lines += feedback_lines(report.feedback)
    if report.reliability:
        error = report.reliability.calibration_error
        lines.append(f"Scores are probabilities, here off by {error:.4f} on average; evaluation.md says of what.")
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _meaning(metric: str, difference: "Interval | None") -> Meaning | None:
    """Of a difference whose interval leaves out 0, in a metric that is better one way."""
    from belfry.evaluation.registry import better

    if difference is None or not (difference.low > 0 or difference.high < 0) or (way := better(metric)) is None:
        return None
    return "good" if (difference.low > 0) == (way == "higher") else "bad"


def lines_of_runs(runs: Sequence["ListedRun"]) -> Iterator[str]:
    """A line for each run; * marks the current one."""
    width = max((len(run.name) for run in runs), default=0)
    for run in runs:
        head = f"{'*' if run.is_current else ' '} {run.name:{width}}"
        if run.manifest is None:
            yield f"{head}  {run.damage}"
        else:
            gate = "open" if run.manifest.gate.is_open else "closed"
            published = run.manifest.created_at[:19].replace("T", " ")
            yield f"{head}  {published} UTC  {run.n_bytes / 1e6:8,.1f} MB  seed {run.manifest.seed}  gate {gate}"


def lines_of_manifest(manifest: "Manifest") -> Iterator[str]:
    """What a run says of itself, but for its files and settings that are those of its preset."""
    yield f"{manifest.name}, published {manifest.created_at[:19].replace('T', ' ')} UTC"
    yield f"preset {manifest.preset}, holdout {manifest.holdout}, seed {manifest.seed}, data {manifest.input_hash[:12]}"
    yield manifest.gate.line
    for title, note in manifest.notes.items():
        yield f"{title}:"
        yield from _lines_of_note(note)
    yield "versions:"
    yield from _lines_of_note(dict(manifest.versions))


def _lines_of_note(note: "JsonValue") -> Iterator[str]:
    if not isinstance(note, dict):
        yield f"  {_rounded(note)}"
        return
    width = max(map(len, note), default=0)
    for key, value in note.items():
        parts = (
            [f"{name} {_rounded(of)}" for name, of in value.items() if of is not None]
            if isinstance(value, dict)
            else []
        )
        yield f"  {key:{width}}  {', '.join(parts) or _rounded(value)}"


def _rounded(value: "JsonValue") -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_seconds(stopwatch: "Stopwatch") -> None:
    """Where the time of a job went."""
    from rich.table import Table

    total = stopwatch.total
    table = Table("stage", title="where the time went")
    for head in ("CPU s", "wall s", "share of CPU"):
        table.add_column(head, justify="right")
    for stage, seconds in stopwatch.by_stage().items():
        table.add_row(stage, f"{seconds.cpu:.1f}", f"{seconds.wall:.1f}", f"{seconds.cpu / max(total.cpu, 1e-9):.0%}")
    table.add_section()
    table.add_row("total", f"{total.cpu:.1f}", f"{total.wall:.1f}", "100%")
    rich_console().print(table)
