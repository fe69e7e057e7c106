"""docs/results/speed.md from what was measured."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from belfry.pipeline.runs.versions import installed_versions
from benchmarks.leaderboard.results import code_state
from benchmarks.speed.cases import CASES
from benchmarks.speed.contestants import BELFRY, CONTESTANTS, PEER, TFRS_EPOCHS, TREES
from benchmarks.speed.floor import Need, last_stage_work, seconds_of_last_stage, table_work
from benchmarks.speed.measure import Measured, Results

SHOWN = ("python", "numpy", "scipy", "onnxruntime", "tensorflow", "tensorflow-recommenders", "lightgbm", "implicit")
HEADS = (
    "NDCG@10",
    "training, CPU s",
    "wall s",
    "peak MiB",
    "table, users per CPU s",
    "inside",
    "wall s",
    "peak MiB",
)
COLUMNS: tuple[tuple[Callable[[Measured], float], str, bool], ...] = (  # value, its format, whether to compare it
    (lambda one: one.ndcg, ".4f", False),
    (lambda one: one.train.cpu_s, ".1f", True),
    (lambda one: one.train.wall_s, ".1f", False),
    (lambda one: one.train.peak_mib, ",.0f", False),
    (lambda one: one.users_per_cpu_s, ",.0f", True),
    (lambda one: one.users_per_cpu_s_inside, ",.0f", True),
    (lambda one: one.table.wall_s, ".1f", False),
    (lambda one: one.table.peak_mib, ",.0f", False),
)
TITLES = {contestant.name: contestant.title for contestant in CONTESTANTS}


def page(found: Sequence[Results], *, command: str, n: int) -> str:
    """The whole page; ratios are of repeats, each with the peer of the same repeat."""
    versions = installed_versions(SHOWN[1:])
    lines = [
        "# Speed",
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, code {code_state()}, "
        + ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions)
        + ".",
        "",
        "In each repeat all train and write a table once, one after the other, every training and every table in a",
        "fresh process, with one thread for each numerical library. CPU is that of the whole process from its start,",
        "with its children; a figure is the median over the repeats, with the range. A repeat has one seed for all.",
        "",
        f"A table has the best {n} unseen items of every user. `inside` leaves out the start of the process and the",
        "loading of the model; for Belfry it holds the checking of every list. NDCG@10 is that of the table, over the",
        "whole catalogue, on the test part: speed that costs quality would show there.",
        "",
        f"- **{TITLES[PEER]}** (`benchmarks/peers/ease_lightgbm.py`): cross-fitted EASE, lambdarank on scores of EASE",
        "  and item neighbours, popularity and lengths; it works on blocks of users. Ratios refer to it.",
        f"- **{TITLES[TREES]}**: Belfry's own candidates and features, trees in place of the network.",
        f"- **{TITLES['als']}** (`benchmarks/peers/implicit_als.py`): 64 factors, its table by `recommend`.",
        f"- **{TITLES['tfrs']}** (`benchmarks/peers/tfrs_two_tower.py`): the report's model, {TFRS_EPOCHS} epochs, no",
        "  metrics in `fit`, searched by `BruteForce`; on the small data only.",
        "",
    ]
    for results in found:
        lines += _case_lines(results)
    return "\n".join(lines)


def _case_lines(results: Results) -> list[str]:
    measured = results.contestants
    n_repeats = max(map(len, measured.values()))
    lines = [f"## {CASES[results.case].title}", "", f"Repeats: {n_repeats}.", ""]
    lines += _table(measured)
    if BELFRY in measured:
        for other in (PEER, TREES):
            if other in measured:
                lines += [_against(measured[BELFRY], measured[other], TITLES[other])]
        lines += ["", *_answer_lines(results), *_floor_lines(results)]
    return lines


def _table(measured: Mapping[str, Sequence[Measured]]) -> list[str]:
    heads = [""]
    for head, (_, _, is_compared) in zip(HEADS, COLUMNS, strict=True):
        heads += [head, "times the peer"] if is_compared and PEER in measured else [head]
    lines = [_row(heads), "|---" * len(heads) + "|"]
    peer = measured.get(PEER)
    for name, repeats in measured.items():
        cells = [TITLES[name]]
        for value, pattern, is_compared in COLUMNS:
            cells.append(_spread([value(one) for one in repeats], pattern))
            if is_compared and peer is not None:
                cells.append(_spread(_ratios(value, repeats, peer), ".2f"))
        lines.append(_row(cells))
    return [*lines, ""]


def _ratios(value: Callable[[Measured], float], ours: Sequence[Measured], peer: Sequence[Measured]) -> list[float]:
    return [value(one) / value(other) for one, other in zip(ours, peer, strict=True)]


def _against(ours: Sequence[Measured], other: Sequence[Measured], title: str) -> str:
    users = _spread(_ratios(lambda each: each.users_per_cpu_s, ours, other), ".2f")
    inside = _spread(_ratios(lambda each: each.users_per_cpu_s_inside, ours, other), ".2f")
    cpu = _spread(_ratios(lambda each: each.train.cpu_s, ours, other), ".2f")
    gain = _spread([one.ndcg - two.ndcg for one, two in zip(ours, other, strict=True)], "+.4f")
    return (
        f"- Belfry's default against {title}: {users} times its users per CPU second ({inside} inside), {cpu} times "
        f"its training CPU, NDCG@10 {gain}."
    )


def _answer_lines(results: Results) -> list[str]:
    lines = ["| what | measured |", "|---|---|"]
    if results.answers:
        answers = results.answers
        lines += [
            f"| `recommend(user, 10)` on one core, ms, median and 99th percentile | {answers.p50_ms:.2f}, "
            f"{answers.p99_ms:.2f} |",
            f"| the same, CPU ms on average | {answers.cpu_ms:.2f} |",
            f"| cold process to its first list, s | {_spread([one.wall_s for one in answers.cold], '.2f')} |",
            f"| the same, CPU s | {_spread([one.cpu_s for one in answers.cold], '.2f')} |",
            f"| its peak memory, MiB | {_spread([one.peak_mib for one in answers.cold], '.0f')} |",
        ]
    if results.workers is None:
        lines.append("| two workers against one | `belfry batch` of this version has no `--workers` |")
    else:
        one, two = results.workers[1], results.workers[2]
        gains = [alone.wall_s / both.wall_s for alone, both in zip(one, two, strict=True)]
        cost = [both.cpu_s / alone.cpu_s for alone, both in zip(one, two, strict=True)]
        lines.append(
            f"| `belfry batch` with two workers against one | {_spread(gains, '.2f')} times as fast by the clock, "
            f"start of the process included, with {_spread(cost, '.2f')} times the CPU |"
        )
    return [*lines, ""]


def _floor_lines(results: Results) -> list[str]:
    run, machine = results.run, results.machine
    if run is None:
        return []
    table, last = table_work(run), last_stage_work(run)
    user_s = 1 / float(np.median([one.users_per_cpu_s_inside for one in results.contestants[BELFRY]]))
    return [
        "### The floor",
        "",
        "What the work needs, counted on the published run, were a core to do nothing else and each kind as fast as",
        f"this machine does it alone: {machine['flops'] / 1e9:.0f} GFLOP/s in products of float32 matrices, "
        f"{machine['lookups'] / 1e6:,.0f} million lookups/s",
        f"in a table of {run.largest_table:,} numbers, {machine['bytes'] / 1e9:.1f} GB/s read and written. Sorting, "
        "checks and files are not counted.",
        "",
        f"A user of mean history, {run.n_events / run.n_users:.0f} events, with {run.n_candidates} candidates:",
        "",
        *_work_table(table, machine, 1e6, "µs"),
        "",
        f"Measured {1e6 * user_s:,.0f} µs a user (inside): {_share(table, machine, user_s)} of it is the floor.",
        "",
        "The first stage on everything, once in a training:",
        "",
        *_work_table(last, machine, 1, "s"),
        "",
        f"Measured {seconds_of_last_stage(run):.1f} CPU s, all sources, index and pair features included: "
        f"{_share(last, machine, seconds_of_last_stage(run))} of it is the floor.",
        "",
    ]


def _work_table(needs: Sequence[Need], machine: Mapping[str, float], per_second: float, unit: str) -> list[str]:
    rows = [
        _row(
            [
                need.what,
                f"{need.flops / 1e6:,.2f}",
                f"{need.lookups / 1e3:,.1f}",
                f"{need.bytes / 1e3:,.1f}",
                f"{per_second * need.seconds(machine):,.2f}",
            ]
        )
        for need in needs
    ]
    total = f"{per_second * sum(need.seconds(machine) for need in needs):,.2f}"
    return [
        _row(["work", "million operations", "thousand lookups", "kB in rows", f"at least, {unit}"]),
        "|---" * 5 + "|",
        *rows,
        _row(["together", "", "", "", total]),
    ]


def _share(needs: Sequence[Need], machine: Mapping[str, float], measured_s: float) -> str:
    return f"{sum(need.seconds(machine) for need in needs) / max(measured_s, 1e-9):.0%}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float], pattern: str) -> str:
    """The median, and the range where there is one."""
    median = format(float(np.median(values)), pattern)
    return median if len(values) == 1 else f"{median} ({min(values):{pattern}} to {max(values):{pattern}})"
