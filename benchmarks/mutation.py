"""Mutation tests: one small change of the code at a time, and whether a test notices it; a page of those none noticed.

Run as `python -m benchmarks.mutation [--areas metrics,top-k]`; needs mutmut, which `make mutation` installs. Writes
docs/results/mutation.md and ends with 1 where a change went unnoticed that `mutation_explained.toml` does not explain.
Areas that are not asked for keep their last outcome.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.leaderboard.results import ROOT, code_state

CODE = ("dataset", "evaluation", "retrieval", "pipeline")
PAGE = ROOT / "docs" / "results" / "mutation.md"
EXPLAINED = Path(__file__).with_name("mutation_explained.toml")
WORK = ROOT / "build" / "mutation"  # a copy of the sources and the tests, whose files mutmut changes
_KEPT = "<!-- outcomes: "  # last line of the page, for the next run
_CAUGHT = ("killed", "timeout", "segfault", "caught by type check")


@dataclass(frozen=True)
class Area:
    """What is changed, and the tests that are to notice."""

    name: str
    files: tuple[str, ...]  # without `belfry/`
    tests: tuple[str, ...]  # without `tests/`


AREAS = (
    Area(
        "metrics",
        ("evaluation/metrics.py",),
        ("evaluation/test_metrics.py", "evaluation/test_registry.py", "evaluation/test_engine.py"),
    ),
    Area("top-k", ("retrieval/dense.py",), ("retrieval/test_dense.py", "retrieval/test_unseen.py")),
    Area(
        "manifest reader",
        ("pipeline/runs/manifest.py",),
        ("pipeline/runs/test_manifest.py", "pipeline/runs/test_writer.py", "faults/test_damaged_run.py"),
    ),
    Area(
        "batch commit",
        ("pipeline/jobs/sinks/file.py",),
        (
            "pipeline/jobs/sinks/test_file.py",
            "pipeline/jobs/sinks/test_parquet.py",
            "pipeline/jobs/sinks/test_text.py",
            "faults/test_moved_output.py",
        ),
    ),
)


@dataclass(frozen=True)
class Survivor:
    """A change that no test noticed."""

    function: str
    was: str
    now: str
    why: str = ""  # that is no fault; empty where nobody knows


@dataclass(frozen=True)
class Outcome:
    """Of an area."""

    counts: dict[str, int]  # how a change ended -> how many
    survivors: list[Survivor]
    date: str
    code: str

    @property
    def unexplained(self) -> list[Survivor]:
        return [one for one in self.survivors if not one.why]


def run(area: Area) -> Outcome:
    """In a copy of sources and tests."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("belfry", "benchmarks", "tests"):
        shutil.copytree(ROOT / name, WORK / name, ignore=leave)  # the links of `belfry` become folders
    settings = (ROOT / "pyproject.toml").read_text()
    chosen = {
        "source_paths": ["belfry"],
        "only_mutate": [f"belfry/{name}" for name in area.files],
        "pytest_add_cli_args_test_selection": [f"tests/{name}" for name in area.tests],
        "do_not_mutate_patterns": [r"^\s*raise \w"],  # what messages say
        "also_copy": ["benchmarks"],
        "timeout_constant": 60.0,  # seconds: a machine with other work is no catch
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in chosen.items()]
    (WORK / "pyproject.toml").write_text("\n".join([settings, "[tool.mutmut]", *lines, ""]))
    _mutmut("run", "--max-children", "1")
    listed = [line.strip().rsplit(": ", 1) for line in _mutmut("results", "--all", "true").splitlines() if ": " in line]
    counts = Counter("caught" if end in _CAUGHT else end for _, end in listed)
    survivors = [_survivor(name) for name, end in listed if end not in _CAUGHT]
    return Outcome(dict(counts), survivors, datetime.now(UTC).date().isoformat(), code_state(CODE))


def _mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=WORK, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stdout[-3000:] + done.stderr[-3000:]
        raise SystemExit(f"mutmut {arguments[0]} ended with {done.returncode}:\n{said}")
    return done.stdout


def _survivor(mutant: str) -> Survivor:
    diff = _mutmut("show", mutant).splitlines()
    lines = {sign: [line[1:].strip() for line in diff if re.match(rf"\{sign}(?!\{sign})", line)] for sign in "-+"}
    function = (
        re.sub(r"__mutmut_\d+$", "", mutant)
        .removeprefix("belfry.")
        .replace(".x_", ".")
        .replace(".xǁ", ".")
        .replace("ǁ", ".")
    )
    was, now = " ".join(lines["-"]), " ".join(lines["+"])
    return Survivor(function, was, now, _explanation(function, was, now))


def _explanation(function: str, was: str, now: str) -> str:
    """The first one that names the function, or all of them, and a part of the change that is there."""
    for one in tomllib.loads(EXPLAINED.read_text())["explained"]:
        if function.endswith(one.get("function", "")) and one.get("was", "") in was and re.search(one["now"], now):
            return str(one["why"])
    return ""


def page(outcomes: dict[str, Outcome]) -> str:
    lines = [
        "# Would the tests notice?",
        "",
        "This code is changed in every small way that mutmut knows, one at a time: another sign, another number, an",
        "argument left out; what errors say stays. A change is caught where a test fails. Written by `make mutation`;",
        "`python -m benchmarks.mutation --areas metrics` does one area again. It ends with 1 where a change went",
        "unnoticed and `benchmarks/mutation_explained.toml` does not say why nothing could notice it.",
        "",
        "| area | code | changes | caught | explained | unnoticed | date | state |",
        "|---|---|---|---|---|---|---|---|",
    ]
    there = [(area, outcomes[area.name]) for area in AREAS if area.name in outcomes]
    for area, one in there:
        n, n_open = sum(one.counts.values()), len(one.unexplained)
        cells = [area.name, ", ".join(f"`{file}`" for file in area.files), f"{n:,}", f"{one.counts.get('caught', 0):,}"]
        cells += [f"{len(one.survivors) - n_open:,}", f"{n_open:,}", one.date, one.code[:8]]
        lines.append(f"| {' | '.join(cells)} |")
    for area, one in there:
        if one.survivors:
            lines += [
                "",
                f"## {area.name.capitalize()}",
                "",
                "| in | becomes | why no test can tell |",
                "|---|---|---|",
            ]
        for each in one.survivors:
            lines.append(f"| `{each.function}` | {_code(each.now)} | {each.why or '**not explained**'} |")
    kept = json.dumps({name: asdict(one) for name, one in outcomes.items()}).replace("-->", "--\\u003e")
    return "\n".join([*lines, "", f"{_KEPT}{kept} -->", ""])


def _code(text: str) -> str:
    return f"`` {text} ``".replace("|", "\\|") if text else "(left out)"


def read_outcomes() -> dict[str, Outcome]:
    """Those of the page as it is."""
    text = PAGE.read_text() if PAGE.exists() else ""
    if _KEPT not in text:
        return {}
    kept = json.loads(text.split(_KEPT)[1].split(" -->")[0])
    return {
        name: Outcome(one["counts"], [Survivor(**each) for each in one["survivors"]], one["date"], one["code"])
        for name, one in kept.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--areas", default=",".join(area.name for area in AREAS))
    asked = parser.parse_args().areas.split(",")
    outcomes = read_outcomes()
    for area in (area for area in AREAS if area.name in asked):
        outcomes[area.name] = one = run(area)
        print(f"{area.name}: {one.counts}, {len(one.unexplained)} not explained", flush=True)
        for each in one.unexplained:
            print(f"  {each.function}\n  - {each.was}\n  + {each.now}", flush=True)
        PAGE.write_text(page(outcomes))
    sys.exit(1 if any(outcomes[name].unexplained for name in asked) else 0)


if __name__ == "__main__":
    main()
