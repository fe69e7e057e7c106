"""Examples/s of training beside a plain TensorFlow Recommenders script, and how peak memory grows with the rows.

Run as `make benchmark-training`, or `python -m benchmarks.training_speed [--data-folder DIR] [--repeats 5] [--epochs 4]
[--rows 500000,1000000,2000000,4000000] [--page FILE]`. Writes docs/results/training-speed.md. Every training has a
process of its own; those of a repeat follow each other, so that what slows the machine slows them alike.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.prepare import prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import split_random
from belfry.dataset.validation.check import check
from belfry.pipeline.runs.versions import installed_versions

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "results" / "training-speed.md"
PEER = ROOT / "benchmarks" / "peers" / "tfrs_two_tower.py"
ROWS = (500_000, 1_000_000, 2_000_000, 4_000_000)
WANTED = 5  # times the plain fit
MIB = 1 << 20


@dataclass(frozen=True)
class Contestant:
    """One way to train."""

    title: str
    command: tuple[str, ...]
    is_peer: bool = False  # takes the file of watches, and nothing of ours


def _ours(system: str) -> tuple[str, ...]:
    return ("-m", "benchmarks.training_child", "speed", "--system", system)


CONTESTANTS = (  # the first one is the plain fit that the others are compared with
    Contestant("TensorFlow Recommenders, metrics in `fit`, batch 8192", (str(PEER),), is_peer=True),
    Contestant("TensorFlow Recommenders, no metrics, batch 8192", (str(PEER), "--no-metrics"), is_peer=True),
    Contestant(
        "TensorFlow Recommenders, metrics in `fit`, batch 512", (str(PEER), "--batch-size", "512"), is_peer=True
    ),
    Contestant("Belfry, `report` towers, batch 8192", _ours("report")),
    Contestant("Belfry, `report` towers, batch 512", _ours("report-512")),
    Contestant("Belfry, default towers", _ours("default")),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of each training; the first one is not counted")
    parser.add_argument("--rows", type=_row_counts, default=ROWS, help="sizes for peak memory, three or more")
    parser.add_argument("--page", type=Path, default=RESULT, help="file to write")
    asked = parser.parse_args(arguments)
    if asked.epochs < 2:
        parser.error("--epochs: the first epoch is not counted; give 2 or more")
    speeds = measure_speeds(asked.data_folder, asked.repeats, asked.epochs)
    peaks = {
        n_rows: float(_child(("-m", "benchmarks.training_child", "memory", "--rows", str(n_rows)))["peak_bytes"])
        for n_rows in asked.rows
    }
    asked.page.write_text(page(speeds, peaks, asked.epochs))
    print(f"written to {asked.page}")


def measure_speeds(data_folder: Path | None, n_repeats: int, n_epochs: int) -> dict[str, list[float]]:
    """Title of each contestant -> examples/s in each repeat, over all epochs but the first."""
    data = prepare(check(read_data("ml-100k", data_folder))[0])
    train = split_random(data.interactions, seed=0).train
    user_id = train.users.take(train.user_num).cast(pa.string())
    watches = pa.table({"user_id": user_id, "title": data.titles.take(pa.array(train.item_num - 1))})
    speeds: dict[str, list[float]] = {contestant.title: [] for contestant in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "watches.parquet"
        pq.write_table(watches, file)
        ours = ("--data-folder", str(data_folder)) if data_folder else ()
        for repeat in range(n_repeats):
            for contestant in CONTESTANTS:
                extra = (str(file),) if contestant.is_peer else ours
                found = _child((*contestant.command, *extra, "--epochs", str(n_epochs)))
                n_examples = found.get("n_examples", len(train))
                speeds[contestant.title].append(n_examples / float(np.mean(found["epoch_s"][1:])))
                print(f"{repeat} {contestant.title}: {speeds[contestant.title][-1]:,.0f} examples/s", flush=True)
    return speeds


def _child(command: Sequence[str]) -> dict[str, Any]:
    """What a fresh process prints as its last line, which is JSON."""
    done = subprocess.run([sys.executable, *command], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def page(speeds: Mapping[str, Sequence[float]], peaks: Mapping[int, float], n_epochs: int) -> str:
    """The whole page; the first of `speeds` is the plain fit."""
    plain = np.array(next(iter(speeds.values())))
    versions = installed_versions()
    shown = ("python", "tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")
    lines = [
        "# Training speed",
        "",
        f"Written by `make benchmark-training` on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        + ", ".join(f"{name} {versions[name]}" for name in shown if name in versions)
        + ".",
        "",
        f"MovieLens 100K, train part of a random 80/20 split. Repeats: {len(plain)}; in each of them all train once,",
        f"one after the other, in fresh processes, for {n_epochs} epochs. The first epoch, which traces graphs, is not",
        "counted.",
        "",
        "The plain fit is a TensorFlow Recommenders script (`benchmarks/peers/tfrs_two_tower.py`): user id and title,",
        "32 dimensions, Adagrad 0.1, `tfrs.tasks.Retrieval` with `FactorizedTopK` inside `fit`, batches of 8192. It",
        "runs with TensorFlow's own settings, oneDNN on; Belfry turns oneDNN off, so that equal seeds give equal",
        "weights.",
        "",
        "The `report` towers are the same model with the same loss, and their time holds the top-k accuracy after each",
        "epoch. In a batch of 512 a watch is told apart from fewer others, so that is faster, and another training.",
        "The default towers are another model: an example is a watch that a step must predict, against the whole",
        "catalogue; watches that are only read are not counted.",
        "",
        "| training | examples/s, median (range) | times the plain fit, median (range) |",
        "|---|---|---|",
    ]
    fast = []
    for title, values in speeds.items():
        ratios = np.array(values) / plain
        spread = f"{np.median(ratios):.1f} ({ratios.min():.1f} to {ratios.max():.1f})"
        lines.append(f"| {title} | {np.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f}) | {spread} |")
        if np.median(ratios) >= WANTED:
            fast.append(title)
    reached = f"At least {WANTED} times the plain fit, the median taken: {'; '.join(fast) or 'none'}."
    return "\n".join([*lines, "", reached, "", *_memory_lines(peaks)])


def _memory_lines(peaks: Mapping[int, float]) -> list[str]:
    n_rows, peak = np.array(list(peaks), np.float64), np.array(list(peaks.values()))
    slope, start = np.polyfit(n_rows, peak, 1)
    off = peak - (start + slope * n_rows)
    return [
        "## Peak memory",
        "",
        "One epoch of the default towers on generated watches, 100 for each user, over a catalogue of 2,000 items:",
        "peak resident memory of a fresh process, the checking of the table included.",
        "",
        "| rows | peak, MiB | off the line, MiB |",
        "|---|---|---|",
        *(
            f"| {int(rows):,} | {bytes_ / MIB:,.0f} | {off_by / MIB:+,.0f} |"
            for rows, bytes_, off_by in zip(n_rows, peak, off, strict=True)
        ),
        "",
        f"The line of least squares: {start / MIB:,.0f} MiB and {slope:,.0f} bytes for each row. Between neighbouring",
        f"sizes, bytes for each further row: {' / '.join(f'{step:,.0f}' for step in np.diff(peak) / np.diff(n_rows))}.",
        "",
    ]


def _row_counts(text: str) -> tuple[int, ...]:
    counts = tuple(sorted({int(part) for part in text.split(",")}))
    if len(counts) < 3:
        raise argparse.ArgumentTypeError("two sizes lie on a line whatever they are; give three or more")
    return counts


if __name__ == "__main__":
    main()
