"""docs/results/everywhere.md from stored results."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from belfry.evaluation.intervals import Interval
from benchmarks.everywhere.results import (
    JUDGED,
    METRICS,
    Metric,
    Result,
    code_now,
    compare,
    cpu_s,
    difference,
    mean,
    rules_of,
)
from benchmarks.everywhere.shops import PUBLISHED
from benchmarks.everywhere.systems import HOLDOUTS, LISTS, RETRIEVAL, WITHOUT
from benchmarks.leaderboard.splits import Case

VERSIONS = ("python", "tensorflow", "scann", "numpy", "scipy", "implicit")
OLDER = "†"
ABOUT = """Full ranking over the whole catalogue, seen items removed, means over users (and over seeds, by user).
Nothing is tuned on these splits: `default` is the preset as it is, told by `--holdout` alone which split it is for, and
answers from a published run; rules have the settings that their name says, the rest at its default. The best rule is
the one with the highest figure on the test part, so it has the advantage of hindsight. Brackets: 95% bootstrap over
users of the paired difference. CPU seconds are of training, both stages of `default`, with libraries loaded before.

**Holds** where the lists beat the best rule in NDCG@10 and in recall@10 by an interval off zero, and retrieval's
recall@100 is not below the best rule's; else the figures at fault are named. `--check` ends with exit code 1 then.
"""
FOUND = Mapping[Case, Sequence[Result]]


def page(found: FOUND, *, command: str) -> str:
    """The whole page; cases without results are named at the end."""
    measured = {case: results for case, results in found.items() if results}
    everything = [result for results in measured.values() for result in results]
    lines = ["# Everywhere: `default` beside plain rules", "", _written(everything, command), "", ABOUT]
    if any(result.code != code_now() for result in everything):
        lines += [f"{OLDER} measured with an earlier state of the code.", ""]
    heads = ["data", "users", "seeds"]
    for metric, system in JUDGED.items():
        heads += [f"{_title(metric)} of {'lists' if system == LISTS else 'retrieval'}", "best rule", "difference"]
    lines += _table([*heads, "training, CPU s", "holds"], [_row(*item) for item in measured.items()])
    by_name = {case.name: results for case, results in measured.items()}
    for case, results in measured.items():
        lines += _section(case, results, by_name.get(WITHOUT.get(case.name, ""), []))
    if missing := [case.name for case, results in found.items() if not results]:
        lines += [f"Not measured yet: {', '.join(missing)}.", ""]
    return "\n".join(lines)


def _written(results: Sequence[Result], command: str) -> str:
    days = sorted({result.measured_on for result in results})
    when = "never" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    shown = [
        f"{name} {' and '.join(sorted({result.versions[name] for result in results if name in result.versions}))}"
        for name in VERSIONS
        if any(name in result.versions for result in results)
    ]
    return f"Written by `{command}`; {', '.join([f'measured {when}', *shown])}."


def _row(case: Case, results: Sequence[Result]) -> list[str]:
    is_older = any(result.code != code_now() for result in results)
    cells = [case.title + (f" {OLDER}" if is_older else ""), f"{len(results[0].users):,}", str(len(results))]
    comparisons = compare(results)
    for one in comparisons:
        cells += [f"**{one.ours:.4f}**", f"{one.theirs:.4f} {one.rule}", _interval(one.difference)]
    at_fault = [_title(one.metric) for one in comparisons if not one.holds]
    return [*cells, f"{cpu_s(results, LISTS):.0f}", f"no: {', '.join(at_fault)}" if at_fault else "yes"]


def _section(case: Case, results: Sequence[Result], without: Sequence[Result]) -> list[str]:
    first = results[0]
    lines = [
        f"## {case.title}",
        "",
        f"`{case.name}`: {len(first.users):,} users judged, {first.n_items:,} items, "
        f"`--holdout {HOLDOUTS[case.name]}`.",
        "",
        *(f"- Seed {result.seed}: {'; '.join([*_sources(result), result.gate])}." for result in results),
        "",
    ]
    rows = []
    for name in (LISTS, RETRIEVAL, *rules_of(results)):
        figures = [f"{mean(results, name, metric):.4f}" for metric in METRICS]
        is_ours = name in (LISTS, RETRIEVAL)
        rows.append([f"**{name}**" if is_ours else name, *figures, f"{cpu_s(results, name):.1f}"])
    lines += _table(["system", *map(_title, METRICS), "training, CPU s"], rows)
    lines += [f"- {name} is left out: {reason}." for name, reason in first.left_out.items()]
    lines += [""] if first.left_out else []
    if without:
        gains = [
            f"{_title(metric)} {_interval(difference(without, system, results, system, metric))}"
            for metric, system in JUDGED.items()
        ]
        lines += [f"`default` here minus `default` on `{WITHOUT[case.name]}`: {', '.join(gains)}.", ""]
    if case.data in PUBLISHED and case.name.endswith("-last"):
        ours = ["**Belfry, `default`**", *(f"**{mean(results, LISTS, metric):.4f}**" for metric in METRICS[:2]), ""]
        others = [[one.system, one.ndcg, one.recall, one.source] for one in PUBLISHED[case.data]]
        lines += ["Reported by others on this split:", ""]
        lines += _table(["system", *map(_title, METRICS[:2]), "source"], [ours, *others])
    return lines


def _sources(result: Result) -> list[str]:
    """What the first stage was made of, as far as the run tells."""
    weights, choice, left_out = (_dict(result.notes.get(name)) for name in ("sources", "source_choice", "left_out"))
    alone = _dict(choice.get("alone"))
    told = []
    if weights:
        told.append("sources by weight: " + ", ".join(f"`{name}` {_weight(note)}" for name, note in weights.items()))
    if alone:
        told.append("alone worth " + ", ".join(f"`{name}` {worth:.4f}" for name, worth in alone.items()))
    if "together" in choice:
        told.append(f"together {choice['together']:.4f}")
    if left_out:
        told.append("left out: " + ", ".join(f"`{name}`" for name in left_out))
    return told


def _weight(note: JsonValue) -> str:
    weight = note.get("weight") if isinstance(note, dict) else note
    return f"{weight:.2f}" if isinstance(weight, int | float) else "?"


def _dict(note: JsonValue) -> dict[str, JsonValue]:
    return note if isinstance(note, dict) else {}


def _title(metric: Metric) -> str:
    return metric.replace("ndcg", "NDCG")


def _interval(interval: Interval) -> str:
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows), ""]
