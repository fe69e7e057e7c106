"""Several systems on the same users, as one report: JSON, Markdown, or rows for a terminal's table."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from belfry.dataset.history.repeats import Repeats
from belfry.dataset.notebooks.html import html_table
from belfry.evaluation.context import EvaluationContext, UserCount
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.intervals import KIND, LEVEL, N_RESAMPLES, Interval
from belfry.evaluation.reports.attribution import Attribution, attribution_lines
from belfry.evaluation.reports.cold_users import ColdUsers, cold_section, cold_users
from belfry.evaluation.reports.comparison.result import Counterfactual
from belfry.evaluation.reports.escape import markdown_of, markdown_row, markdown_table
from belfry.evaluation.reports.feedback import feedback_section
from belfry.evaluation.reports.reliability import Reliability
from belfry.evaluation.reports.rule_prices import RulePrice, price_section
from belfry.evaluation.reports.watches import WatchesSlice, slices_by_watches

_FULL = "Full ranking: any item of the catalogue could be listed."
_SEEN: Mapping[Repeats, str] = {
    "exclude": f"items that a user had already seen were kept out of the lists. {_FULL}",
    "allow": f"items that a user had already seen could appear in the lists. {_FULL}",
    "only": "the lists hold nothing but items that a user had already seen; any of them could be listed.",
}

FORMAT = "belfry-evaluation"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class System:
    """What one system's lists are worth to the judged users."""

    name: str
    metrics: dict[str, Interval]  # "ndcg@10" -> mean over users with interval


@dataclass(frozen=True)
class Difference:
    """What `system` adds to `baseline`, user by user."""

    baseline: str
    system: str
    metrics: dict[str, Interval]  # metric that both have -> mean of system - baseline


@dataclass(frozen=True)
class EvaluationReport:
    """Systems judged on the same users of one split."""

    run: str
    split: str
    seen_removed: bool  # no list holds an item of its user's history
    repeats: Repeats  # what lists may hold of it, in full
    n_users: int  # judged
    left_out: tuple[UserCount, ...]
    systems: tuple[System, ...]
    difference: Difference | None
    watches: tuple[WatchesSlice, ...] = ()  # by how often test items had been watched
    attribution: Attribution | None = None  # of the final lists; an external table has no candidates
    reliability: Reliability | None = None  # where final scores are probabilities
    rules: tuple[RulePrice, ...] = ()  # each alone, and all together, where lists under rules were judged too
    cold: ColdUsers | None = None  # users without a history, where any are judged
    feedback: Counterfactual | None = None  # the last system against what a log shows

    def _repr_html_(self) -> str:
        head, *rows = to_rows(self)
        return html_table(head, rows, caption=f"{self.run}, {self.split} split, {_count(self.n_users)}")


def make_report(
    systems: Mapping[str, SystemScores],
    context: EvaluationContext,
    *,
    run: str,
    split: str,
    repeats: Repeats,
    compared: tuple[str, str] | None = None,
    left_out: Sequence[UserCount] = (),
    attribution: Attribution | None = None,
    reliability: Reliability | None = None,
    rules: tuple[RulePrice, ...] = (),
    feedback: Counterfactual | None = None,
    seed: int,
) -> EvaluationReport:
    """Put systems side by side, in the order of `systems`, name -> scores in `context`.

    Args:
        run: name of the run or of the judged table.
        split: name of the split.
        repeats: whether items of the history were kept out of the lists, allowed, or all that was.
        compared: names of baseline and system for the paired difference, e.g. ("retrieval", "both stages").
        left_out: who is in no figure, and why.
        attribution: of the loss of the last system to its stages.
        reliability: of the scores of the last system.
        rules: what lists under rules cost, against those of the last system.
        feedback: what the lists of the last system would have earned, against what a log shows.
        seed: of the resamples, the same for all systems.
    """
    difference = None
    if compared:
        baseline, system = compared
        difference = Difference(*compared, systems[system].differences(systems[baseline], seed=seed))
    return EvaluationReport(
        run=run,
        split=split,
        seen_removed=repeats == "exclude",
        repeats=repeats,
        n_users=len(context.users),
        left_out=tuple(left_out),
        systems=tuple(System(name, scores.intervals(seed=seed)) for name, scores in systems.items()),
        difference=difference,
        watches=slices_by_watches(systems, context, seed=seed),
        attribution=attribution,
        reliability=reliability,
        rules=rules,
        cold=cold_users(systems, context, seed=seed),
        feedback=feedback,
    )


def to_json(report: EvaluationReport) -> str:
    """The report for programs. A change of meaning or a removal raises `format_version`; additions do not.

    ```
    {"format": "belfry-evaluation", "format_version": 2,
     "run": str, "split": str, "seen_removed": bool, "repeats": "exclude" | "allow" | "only",
     "n_users": int,                                     users evaluated
     "left_out": [{"reason": str, "n_users": int}],
     "interval": {"kind": "BCa bootstrap over users", "level": 0.95, "n_resamples": 10000},
     "systems": [{"name": str, "metrics": {"ndcg@10": ESTIMATE, ...}}],
     "difference": null | {"baseline": str, "system": str, "metrics": {"ndcg@10": ESTIMATE, ...}},
     "watches": [{"watches": "0" | "1 to 5" | "over 5",  of test items, before; a part without test rows is left out
        "n_items": int, "n_test": int,                   items of the catalogue; test rows
        "systems": [{"name": str, "ndcg": ESTIMATE,      NDCG@n as if all other test items were none
                     "share": float}]}],                 of all places filled
     "attribution": null | {"n": int, "depth": int,      places of the list; candidates of a user, at most
        "reached": ESTIMATE,                             NDCG@n of the final lists; it and both losses add up to 1
        "lost_by_retrieval": ESTIMATE, "lost_by_ranking": ESTIMATE,
        "candidate_recall": ESTIMATE},                   share of a user's test items among the candidates
     "reliability": null | {"n_rows": int, "observed": float,           candidates; share of them in the test part
        "calibration_error": float, "brier": float, "brier_of_constant": float,
        "bins": [{"predicted": float, "observed": float, "n_rows": int}]},
     "rules": [{"rule": str,                             each alone, then "all rules"; empty without --rules
        "metrics": {"ndcg@10": ESTIMATE, ...},           of the lists under it
        "changes": {"ndcg@10": ESTIMATE, ...}}],         against lists without, user by user
     "cold": null | {"n_users": int,                     users without a history, by themselves
        "systems": [{"name": str, "metrics": {"ndcg@10": ESTIMATE, ...}}]},
     "feedback": null | COUNTERFACTUAL}                  of docs/comparison.schema.json; the baseline is what was shown
    ESTIMATE = {"mean": float | null, "low": float | null, "high": float | null, "n_users": int}
    ```

    A null `mean` is a metric that no user has a value of; null `low` and `high`, one of all lists together, or that too
    few users have.
    """
    interval = {"kind": KIND, "level": LEVEL, "n_resamples": N_RESAMPLES}
    document = {"format": FORMAT, "format_version": FORMAT_VERSION, "interval": interval, **asdict(report)}
    document["left_out"] = [{"reason": left.reason, "n_users": left.n} for left in report.left_out]
    if report.reliability:
        document["reliability"]["brier_of_constant"] = report.reliability.brier_of_constant
    return json.dumps(_without_nan(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_rows(report: EvaluationReport) -> list[list[str]]:
    """Table of text: a head, then one row per metric with one cell per system, last the paired difference if any.

    A cell is "mean [low, high]", the mean alone where there is no interval, "-" where a system has no such metric.
    """
    columns = [system.metrics for system in report.systems]
    head = ["metric", *(system.name for system in report.systems)]
    if report.difference:
        columns.append(report.difference.metrics)
        head.append(f"{report.difference.system} minus {report.difference.baseline}")
    names = dict.fromkeys(name for system in report.systems for name in system.metrics)
    return [head, *([name, *(str(column.get(name, "-")) for column in columns)] for name in names)]


def to_markdown(report: EvaluationReport) -> str:
    """The report for people: the table of `to_rows`, who was judged, who was left out, how to read it."""
    head, *rows = to_rows(report)
    lines = [
        f"# Evaluation of {report.run}",
        "",
        f"{_count(report.n_users)} of split `{report.split}`; {_SEEN[report.repeats]}",
        "",
        *markdown_table(head, rows),
        "",
        f"In brackets: {LEVEL:.0%} interval, {KIND} ({N_RESAMPLES:,} resamples). A difference is taken user "
        "by user; one whose interval leaves out 0 is unlikely to be chance.",
        "",
        "## Who was left out",
        "",
        *([f"- {left}." for left in report.left_out] or ["Nobody."]),
        "",
        *(cold_section(report.cold) if report.cold else ()),
        *_watches_section(report.watches),
        *(_attribution_section(report.attribution) if report.attribution else ()),
        *(_reliability_section(report.reliability) if report.reliability else ()),
        *(price_section(report.rules) if report.rules else ()),
        *(feedback_section(report.feedback) if report.feedback else ()),
    ]
    return markdown_of(lines)


def _watches_section(slices: Sequence[WatchesSlice]) -> list[str]:
    if not slices:
        return []
    names = [system.name for system in slices[0].systems]
    rows = (
        [
            part.watches,
            f"{part.n_items:,}",
            f"{part.n_test:,}",
            *(f"{system.ndcg}, {system.share:.1%}" for system in part.systems),
        ]
        for part in slices
    )
    return [
        "## New and rare items",
        "",
        "Test items by how many users had watched them before: NDCG of the lists as if all other test items were none, "
        "and the share of all places that such items take.",
        "",
        *markdown_table(["watches", "items", "test rows", *(f"{name}, share" for name in names)], rows),
        "",
    ]


def _attribution_section(attribution: Attribution) -> list[str]:
    rows = [
        (f"NDCG@{attribution.n} reached", str(attribution.reached)),
        ("lost by retrieval", str(attribution.lost_by_retrieval)),
        ("lost by ranking", str(attribution.lost_by_ranking)),
        ("share of test items among the candidates", str(attribution.candidate_recall)),
    ]
    return [
        "## Where the loss is",
        "",
        *attribution_lines(attribution),
        "",
        *markdown_table(["part", "mean over users"], rows),
        "",
    ]


def _reliability_section(reliability: Reliability) -> list[str]:
    return [
        "## Can the scores be taken for probabilities?",
        "",
        "The score of an item in a final list is the probability that a part held back as in training holds it. In a "
        "longer test part more comes true than was said, in a shorter one less. Rows are all candidates of the judged "
        "users, in tenths by score.",
        "",
        markdown_row(["mean score", "share in the test part", "rows"]),
        markdown_row(["---:"] * 3),
        *(
            markdown_row([f"{part.predicted:.4f}", f"{part.observed:.4f}", f"{part.n_rows:,}"])
            for part in reliability.bins
        ),
        "",
        f"Expected calibration error {reliability.calibration_error:.4f}: the mean distance of the two columns. Brier "
        f"score {reliability.brier:.4f}; {reliability.brier_of_constant:.4f} for saying {reliability.observed:.4f}, "
        "the share over all rows, of every one.",
        "",
    ]


def _without_nan(value: JsonValue) -> JsonValue:
    """The same with null for NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _count(n_users: int) -> str:
    return f"{n_users:,} user" if n_users == 1 else f"{n_users:,} users"
