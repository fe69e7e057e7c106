"""What Belfry survives: the tests of each fault, attack and load, run for real; a page of their outcomes.

Run as `python -m benchmarks.reliability [--rows 1,4-7] [--plain]`. Writes docs/results/reliability.md and ends with 1
where a test fails. Rows that are not asked for keep their last outcome, which is told with its own date and code.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from belfry.pipeline.runs.versions import installed_versions
from benchmarks.leaderboard.results import ROOT, code_state

PAGE = ROOT / "docs" / "results" / "reliability.md"
CODE = ("dataset", "layers", "retrieval", "ranking", "evaluation", "pipeline")
TIMEOUT_S = 7_200  # of the tests of a row
_NOTHING_CHOSEN = 5  # how pytest ends without a test
_KEPT = "<!-- outcomes: "  # last line of the page, for the next run

BATCH, DAMAGED = "tests/faults/test_batch_faults.py", "tests/faults/test_damaged_run.py"
PUBLISHER, MOVED = "tests/faults/test_killed_publisher.py", "tests/faults/test_moved_output.py"
VALIDATION, DOWNLOAD = "tests/dataset/validation", "tests/dataset/sources/web/test_download.py"
SERVING, INDEX = "tests/pipeline/serving/test_recommender.py", "tests/retrieval/test_index.py"


@dataclass(frozen=True)
class Row:
    """A fault, an attack or a load."""

    number: int
    what: str
    tests: tuple[str, ...]  # what pytest is given: files, or tests in them
    chosen: str = ""  # of them, as `pytest -k`
    missing: str = ""  # what the tests leave out


ROWS = (
    Row(1, "`batch` killed at every step, and at 20 random moments three times over, then resumed", (BATCH,), "killed"),
    Row(2, "killed between data and manifest; a run killed while it is published", (PUBLISHER, BATCH), "killed"),
    Row(3, "two jobs on one output, a dead owner", (BATCH,), "two_jobs or dead_owner"),
    Row(
        4,
        "a disk of 3 MiB fills up: batch, publishing, a real training",
        ("tests/faults/test_full_disk.py", "tests/faults/test_row_4_training_on_a_full_disk.py", BATCH, MOVED),
        "full or fills",
    ),
    Row(5, "output read-only, its parent missing", (MOVED, BATCH), "row_5 or cannot_be_written"),
    Row(6, "a byte flipped in each file of a run, and every one of the manifest", (DAMAGED,), "flipped"),
    Row(7, "each file deleted, cut to half", (DAMAGED, INDEX), "deleted or cut"),
    Row(8, "an extra pickle with a canary", (DAMAGED,), "pickle or could_be_a_part"),
    Row(9, "a newer format, parts of two runs", (DAMAGED,), "newer or two_runs"),
    Row(10, "foreign classes and code in files", ("tests/attacks/test_row_10_no_code_in_files.py",)),
    Row(11, "hostile zips", ("tests/dataset/test_archive.py",)),
    Row(12, "a publisher that cuts, stalls, drips, redirects, sends HTML or too much", (DOWNLOAD,)),
    Row(
        13,
        "Parquet and other tables of odd types, 1.6 GB in a small file",
        ("tests/dataset/sources", "tests/attacks/test_row_13_parquet_bomb.py"),
        missing="lists of text that repeat are not bounded",
    ),
    Row(14, "ratings, ids and times that cannot be meant", (VALIDATION,)),
    Row(15, "a user who saw everything, cold users, empty parts", (SERVING, "tests/dataset/test_split.py")),
    Row(16, "catalogues of 1 to 100,000 items", (INDEX,)),
    Row(17, "duplicate, zero and NaN vectors", (INDEX,)),
    Row(
        18,
        "scripts, formulas and escapes in titles; a real browser",
        ("tests/browser", "tests/attacks/test_hostile_text.py"),
        "hostile or row_18 or policy",
    ),
    Row(19, "names that are paths: run, preset, sources", (DAMAGED, "tests/pipeline/serving/test_load.py")),
    Row(
        20,
        "lists of 100 for a quarter of many users and for all: memory does not grow with them",
        ("tests/load/test_row_20_many_users.py",),
        missing="20,000 users without BELFRY_MANY_USERS=1000000",
    ),
    Row(
        21, "threads answer while runs are published", (SERVING, "tests/load/test_row_21_swaps.py"), "threads or row_21"
    ),
    Row(
        22,
        "equal seeds in two processes, other orders and blocks of users",
        (SERVING,),
        "equal_seeds or order_of_users or blocks_of_users",
    ),
    Row(23, "losses and features that are not finite", ("tests/retrieval", "tests/ranking"), "diverg or finite"),
    Row(
        24,
        "coverage of intervals for 10 to 300 users, equal systems",
        ("tests/evaluation/test_intervals.py", "tests/evaluation/reports/comparison/test_inference.py"),
        missing="1,000 comparisons on MovieLens are in ab-validity.md",
    ),
    Row(
        25,
        "ScaNN missing, TensorFlow first, wrong switch",
        ("tests/layers/test_backend.py", INDEX),
        "tensorflow or keras or scann",
    ),
    Row(26, "Ctrl-C and SIGTERM, 100 each in train and batch", ("tests/faults/test_interrupts.py",)),
    Row(
        27,
        "clock set back, equal runs at once",
        ("tests/pipeline/runs/test_writer.py", PUBLISHER),
        "clock or points_back or two_publishers",
    ),
    Row(28, "10,000 mutated CSV and Parquet files", ("tests/attacks/test_row_28_mutated_files.py",)),
    Row(29, "files swapped while loads run", ("tests/attacks/test_row_29_swapped_while_opening.py",)),
    Row(
        30,
        "names inside a run that are paths",
        ("tests/pipeline/serving/test_load.py", DAMAGED),
        "names or preset or outside or leave",
    ),
    Row(
        31,
        "hostile graphs, arrays and index files with whole hashes",
        ("tests/attacks/test_row_31_hostile_content.py", INDEX),
        "not thousand",
    ),
    Row(32, "everything under a tracer of system calls", ("tests/attacks/test_row_32_traced.py",)),
    Row(33, "forks while others load or answer (300), spawn, pickle, copies", ("tests/load/test_processes.py",)),
    Row(
        34,
        "files of a loaded run replaced, cut, removed",
        ("tests/attacks/test_row_29_swapped_while_opening.py",),
        "loaded or mapped or read_only",
    ),
    Row(35, "output moved, removed, limited while a job writes", (MOVED,), "row_35"),
    Row(36, "escapes and 100,000 signs wherever text is printed", ("tests/attacks", MOVED), "row_36"),
    Row(
        37,
        "signed runs: no signature, another key's, a manifest changed, or swapped while it is opened",
        ("tests/attacks/test_signed_runs.py",),
    ),
    Row(
        38,
        "`update` killed at every ninth step, and at 20 random moments three times over, then given the same again; "
        "eight at once; a disk that fills up",
        ("tests/faults/test_row_38_killed_update.py",),
    ),
    Row(
        39,
        "`serve` while its run is swapped (60 times), damaged and removed and a worker killed; 10,000 hostile requests",
        (
            "tests/faults/test_row_39_served_run.py",
            "tests/load/test_row_39_served_swaps.py",
            "tests/pipeline/server/test_current_run.py",
            "tests/pipeline/server/test_process.py",
            "tests/pipeline/server/test_hostile.py",
            "tests/pipeline/server/guards",
        ),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """Of the tests of a row."""

    n_passed: int
    n_skipped: int
    failed: list[str] = field(default_factory=list)
    seconds: float = 0
    date: str = ""
    code: str = ""
    plain: bool = False  # without the slow tests
    measured: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        if self.failed:
            return f"**fails**: {', '.join(self.failed[:3])}"
        if not self.n_passed:
            return "not tried here"
        measured = "".join(f", {name} {value}" for name, value in self.measured.items())
        return f"holds (quick tests){measured}" if self.plain else f"holds{measured}"


def run(row: Row, *, plain: bool) -> Outcome:
    """In a process of its own, which may die."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        marks = "not slow and not realdata" if plain else "not realdata"
        command = [sys.executable, "-m", "pytest", *row.tests, "-m", marks, f"--junitxml={report}"]
        command += ["-o", "junit_family=xunit1"]  # which knows properties
        if row.chosen:
            command += ["-k", row.chosen]
        ended: int | str
        try:
            ended = subprocess.run(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            ended = f"no end after {TIMEOUT_S} s"
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    whys = {str(one.get("name")): why for one in cases for why in (*one.findall("failure"), *one.findall("error"))}
    for name, why in whys.items():
        print(f"{name}:\n{(why.text or '')[-3000:]}", file=sys.stderr)
    failed = list(whys)
    n_skipped = sum(one.find("skipped") is not None for one in cases)
    if ended not in (0, _NOTHING_CHOSEN) and not failed:
        failed = [f"pytest ended with {ended}"]
    return Outcome(
        n_passed=max(0, len(cases) - n_skipped - len(failed)),
        n_skipped=n_skipped,
        failed=failed,
        seconds=time.monotonic() - started,
        date=datetime.now(UTC).date().isoformat(),
        code=code_state(CODE),
        plain=plain,
        measured={str(one.get("name")): str(one.get("value")) for case in cases for one in case.iter("property")},
    )


def page(outcomes: dict[int, Outcome]) -> str:
    lines = [
        "# What Belfry survives",
        "",
        "Faults, attacks and loads, each run for real: kills, full disks, processes, a bad publisher, hostile files.",
        "Written by `make reliability`; `python -m benchmarks.reliability --rows 4,28` runs some of them again.",
        "`tries` are tests that ran, most of many kills, files or calls; `skipped` ones could not run on this machine.",
        "`code` is that of the sources at the time: now " + f"`{code_state(CODE)}`.",
        "Of rows marked as quick tests, those of many more kills, calls or minutes were not run.",
        "",
        "`make coverage` fails where the tests leave out 5% of the lines and branches of `dataset/`, `evaluation/` or",
        "`pipeline/`; [mutation.md](mutation.md) has small changes of the code, and whether a test notices them.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in installed_versions().items()) + ".",
        "",
        "| row | what is tried | tries | skipped | outcome | left out | s | date | code |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        one = outcomes.get(row.number, Outcome(0, 0))
        lines.append(
            f"| {row.number} | {row.what} | {one.n_passed + len(one.failed)} | {one.n_skipped} | {one.text} "
            f"| {row.missing} | {one.seconds:.0f} | {one.date} | {one.code[:8]} |"
        )
    kept = json.dumps({number: asdict(one) for number, one in sorted(outcomes.items())})
    return "\n".join([*lines, "", f"{_KEPT}{kept} -->", ""])


def read_outcomes(path: Path = PAGE) -> dict[int, Outcome]:
    """Those of the page as it is."""
    text = path.read_text() if path.exists() else ""
    if _KEPT not in text:
        return {}
    kept = json.loads(text.split(_KEPT)[1].split(" -->")[0])
    return {int(number): Outcome(**one) for number, one in kept.items()}


def chosen_rows(text: str) -> set[int]:
    """`1,4-7` is 1, 4, 5, 6 and 7."""
    ranges = [part.partition("-") for part in text.split(",")]
    return {number for first, _, last in ranges for number in range(int(first), int(last or first) + 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=chosen_rows, default={row.number for row in ROWS})
    parser.add_argument("--plain", action="store_true", help="without the slow tests")
    asked = parser.parse_args()
    is_whole = True
    for row in (row for row in ROWS if row.number in asked.rows):
        one = run(row, plain=asked.plain)
        is_whole &= not one.failed
        print(
            f"{row.number:2} {one.text}: {one.n_passed} passed, {one.n_skipped} skipped, {one.seconds:.0f} s",
            flush=True,
        )
        PAGE.write_text(page(read_outcomes() | {row.number: one}))
    sys.exit(0 if is_whole else 1)


if __name__ == "__main__":
    main()
