"""The blocks of code on the pages run, page by page from the first to the last, in a folder with the tables they name.

A block of `sh` or `python` runs unless the line above it says why not: `<!-- not run: ... -->`, or `<!-- slow: ... -->`
for one that runs with the slow tests alone. Whatever runs or not, the calls of `belfry` in it are calls that there are.
"""

import re
import shlex
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from belfry.pipeline.cli.commands import app
from tests.docs.world import ROOT, run_block

PAGES = sorted(["README.md", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))])
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|slow): (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHOWN = {"text", "toml", "dockerfile"}  # languages of what is no program


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    mark: str | None
    reason: str | None


def blocks_of(page: str) -> list[Block]:
    found = BLOCK.finditer((ROOT / page).read_text())
    return [Block(one["language"], one["code"], one["mark"], one["reason"]) for one in found]


PROGRAMS = {page: [one for one in blocks_of(page) if one.language in ("sh", "python")] for page in PAGES}
REAL = ["docs/ten-minutes.md"]  # runs with the slow tests as a reader trains, too


def run_page(page: str, world: Path, folder: Path, marks: set[str | None], *, light: bool) -> None:
    shutil.copytree(world, folder, dirs_exist_ok=True)
    for block in PROGRAMS[page]:
        if block.mark in marks:
            run_block(block.language, block.code, folder, light=light)


@pytest.mark.parametrize("page", [page for page in PAGES if any(one.mark is None for one in PROGRAMS[page])])
def test_its_blocks_run(page: str, world: Path, tmp_path: Path) -> None:
    run_page(page, world, tmp_path, {None}, light=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", REAL)
def test_it_runs_as_a_reader_trains(page: str, world: Path, tmp_path: Path) -> None:
    run_page(page, world, tmp_path, {None}, light=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(one.mark == "slow" for one in PROGRAMS[page])])
def test_its_slow_blocks_run(page: str, world: Path, tmp_path: Path) -> None:
    run_page(page, world, tmp_path, {"slow"}, light=False)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_language_and_every_mark_a_block(page: str) -> None:
    blocks = blocks_of(page)
    assert {one.language for one in blocks} <= {"sh", "python"} | SHOWN
    marks = re.findall(r"^<!-- (?:not run|slow): ", (ROOT / page).read_text(), re.MULTILINE)
    assert len(marks) == sum(one.mark is not None for one in blocks)


def test_most_blocks_run() -> None:
    counts = Counter(one.mark for blocks in PROGRAMS.values() for one in blocks)
    assert counts["not run"] <= 12
    assert counts["slow"] <= 6
    assert counts[None] >= 25


def calls_in(code: str) -> list[list[str]]:
    """The words of every call of `belfry` in a block of sh, without what stands behind a pipe."""
    lines = code.replace("\\\n", " ").splitlines()
    calls = []
    for line in lines:
        words = shlex.split(line, comments=True)
        words = words[1:] if words and re.fullmatch(r"[A-Z_]+=\S*", words[0]) else words
        if words[:1] == ["belfry"]:
            calls.append(words[1:])
    return calls


@pytest.mark.parametrize("page", [page for page in PAGES if PROGRAMS[page]])
def test_its_calls_are_calls_that_there_are(page: str) -> None:
    """Of blocks that do not run too: verbs and options exist, values are of their kind, nothing needed is missing."""
    command = typer.main.get_command(app)
    for block in PROGRAMS[page]:
        for words in calls_in(block.code) if block.language == "sh" else ():
            verb, context = command, None
            while commands := getattr(verb, "commands", None):
                verb, words = commands[words[0]], words[1:]
            context = verb.make_context(verb.name, list(words))
            assert context.params
