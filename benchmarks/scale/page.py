"""docs/results/scale.md from what was measured."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from belfry.pipeline.runs.versions import installed_versions
from benchmarks.leaderboard.results import code_state
from benchmarks.scale.measure import Measured

SHOWN = ("numpy", "scipy", "pyarrow", "tensorflow", "onnxruntime", "scann")
HEADS = (
    "watches",
    "users",
    "items",
    "generate, M/s",
    "reading and checking, CPU s",
    "bytes a watch",
    "training, CPU s",
    "wall s",
    "peak MiB",
    "bytes a watch",
    "table, users per CPU s",
    "peak MiB",
    "recommend p50 ms",
    "p99 ms",
    "peak MiB",
    "run, MiB",
)


def page(found: Sequence[Measured], index: Mapping[str, float] | None, *, command: str) -> str:
    """The whole page."""
    versions = installed_versions(SHOWN)
    lines = [
        "# Scale",
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, code {code_state()}, "
        + ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions)
        + ".",
        "",
        "Watches are generated with clusters of taste (`benchmarks/scale/generate.py`): 50 for a user, 100 for an",
        "item. Each step is a process of its own, with one thread for each numerical library; CPU is that of the whole",
        "process, memory the peak of what is resident. Training is `belfry train --holdout time`, the default preset.",
        "",
    ]
    if found:
        lines += _growth(found)
    if index:
        ratio = index["queries_per_s"] / index["exact_queries_per_s"]
        lines += [
            "## The index alone",
            "",
            f"{index['n_items']:,} generated vectors of 64 dimensions in clusters, tuned on 300 queries and measured",
            f"on 500 others: recall@200 **{index['recall']:.4f}** at {index['queries_per_s']:,.0f} queries/s,",
            f"**{ratio:.0f} times** exact search ({index['exact_queries_per_s']:,.0f}), one query "
            f"{index['p50_ms']:.2f} ms; the build takes {index['build_cpu_s']:.0f} CPU s.",
            "",
        ]
    return "\n".join(lines)


def _growth(found: Sequence[Measured]) -> list[str]:
    lines = [
        "## Growth",
        "",
        f"| {' | '.join(HEADS)} |",
        "|" + "---:|" * len(HEADS),
    ]
    base_mib = found[0].train["peak_mib"]
    for one in found:
        per_watch = (one.train["peak_mib"] - base_mib) * (1 << 20) / max(1, one.n_watches - found[0].n_watches)
        lines.append(
            f"| {one.n_watches:,} | {one.n_users:,} | {one.n_items:,} | "
            f"{one.n_watches / one.generated['cpu_s'] / 1e6:.1f} | {one.reading['cpu_s']:.1f} | "
            f"{one.reading['bytes_per_watch']:,.0f} | {one.train['cpu_s']:,.0f} | {one.train['wall_s']:,.0f} | "
            f"{one.train['peak_mib']:,.0f} | {per_watch:,.0f} | {one.table['n_users'] / one.table['cpu_s']:,.0f} | "
            f"{one.table['peak_mib']:,.0f} | {one.calls['p50_ms']:.2f} | {one.calls['p99_ms']:.2f} | "
            f"{one.calls['peak_mib']:,.0f} | {one.run_mib:,.0f} |"
        )
    lines += [
        "",
        "Bytes a watch: of reading, the peak beyond that of the libraries; of training, what the peak grows by from",
        "the smallest size.",
        "",
    ]
    if len(found) > 1:
        lines += _exponents(found)
    stages = [stage for stage in found[-1].seconds if found[-1].seconds[stage] >= 1]
    lines += [
        "CPU seconds of training by stage:",
        "",
        "| watches | " + " | ".join(stages) + " |",
        "|" + "---:|" * (len(stages) + 1),
    ]
    for one in found:
        shown = (f"{one.seconds[stage]:.1f}" if stage in one.seconds else "" for stage in stages)
        lines.append(f"| {one.n_watches:,} | " + " | ".join(shown) + " |")
    return [*lines, ""]


def _exponents(found: Sequence[Measured]) -> list[str]:
    """How time and memory of training grow from each size to the next; 1 is linear."""
    sizes = np.log([one.n_watches for one in found])
    cpu = np.diff(np.log([one.train["cpu_s"] for one in found])) / np.diff(sizes)
    memory = np.diff(np.log([one.train["peak_mib"] for one in found])) / np.diff(sizes)
    per_watch = [1e6 * one.train["cpu_s"] / one.n_watches for one in found]
    shown = ", ".join(
        f"{first.n_watches:,} to {then.n_watches:,}: {seconds:.2f} and {peak:.2f}"
        for first, then, seconds, peak in zip(found, found[1:], cpu, memory, strict=False)
    )
    return [
        f"Exponents of CPU and of peak memory (1 is linear): {shown}.",
        "",
        "```mermaid",
        "xychart-beta",
        '    title "Training, CPU microseconds a watch"',
        "    x-axis [" + ", ".join(f'"{one.n_watches:,}"' for one in found) + "]",
        '    y-axis "microseconds"',
        "    bar [" + ", ".join(f"{value:.0f}" for value in per_watch) + "]",
        "```",
        "",
    ]
