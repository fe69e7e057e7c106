"""Rows 18 and 36: titles, ids and names of strangers are shown escaped and cut, and never come alive."""

import os
import pty
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry import Recommender, compare, train
from belfry.dataset.errors import printable
from belfry.evaluation.reports.escape import LONGEST_CELL, markdown_of, markdown_row
from belfry.pipeline.cli.formatting import LONGEST_SHOWN
from belfry.pipeline.jobs.evaluate import evaluate_run, save_report

ROOT = Path(__file__).parents[2]
HOSTILE = {
    "break": "two\nlines\r\nand more",
    "clear": "\x1b[2J\x1b[31mred",
    "c1": "\x9b31m\x85\x90",
    "bidi": "\u202ereversed\u2066\u200f",
    "bell": "\x07\x00\x08\x7f",
    "long": "x" * 100_000,
    "markup": "[bold]<b>|</b> [link](javascript:alert(1)) ![image](http://evil.example/x)",
    "pipe": "a \\| b \\\\| c",
    "separators": "a\u2028b\u2029c\ufeff",
    "title": "Léon 怪物 👨\u200d👩\u200d👧 a\u00a0b",
    "": "",
}
SETTINGS = ["retrieval.kind=pure_svd", "ranker=none", "sources=[]"]
# Whatever steers a terminal or changes the direction of writing.
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose item ids and titles are hostile."""
    random = np.random.default_rng(0)
    ids = [f"{number:02} {text[:200]}" for number, text in enumerate(HOSTILE.values())] + [f"i{n}" for n in range(20)]
    events = pa.table(
        {"user_id": random.integers(0, 40, 400), "item_id": pa.array(ids).take(random.integers(0, 31, 400))}
    )
    items = pa.table({"item_id": ids, "title": [*HOSTILE.values(), *(f"Song {n}" for n in range(20))]})
    folder = tmp_path_factory.mktemp("hostile") / "artifacts"
    train(events, items=items, settings=SETTINGS, artifacts=folder)
    return folder


def test_row_36_what_a_terminal_gets(artifacts: Path) -> None:
    command = [sys.executable, "-m", "belfry", "recommend", "999", "-n", "31", "--artifacts", str(artifacts)]
    said = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout.decode()
    lines = said.split("\n")
    assert lines[0] == "user 999 (cold: popular now)"
    assert len(lines) == 1 + 31 + 1
    assert not STEERS.search(said)
    assert max(map(len, lines)) < 2 * LONGEST_SHOWN + 40
    assert r"two\nlines\r\nand more" in said
    assert r"\x1b[2J\x1b[31mred" in said
    assert "[bold]<b>|</b>" in said
    assert HOSTILE["title"] in said


def test_row_36_what_a_real_terminal_gets(artifacts: Path) -> None:
    """A pseudo-terminal, whose line breaks are of two signs; without our own colours nothing may steer it."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "belfry", "recommend", "999", "\x1b[2J", "-n", "31", "--artifacts", str(artifacts)]
    plain = os.environ | {"NO_COLOR": "1"}
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL, cwd=ROOT, env=plain
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while block := os.read(ours, 1 << 16):
                said += block
        except OSError:  # the other end was closed
            pass
        os.close(ours)
    assert process.returncode == 2  # the second id is none
    assert rb"id '\x1b[2J': the ids of run" in said
    assert not STEERS.search(said.decode().replace("\r\n", "\n"))


def test_row_36_an_encoding_without_the_letters(artifacts: Path) -> None:
    command = [sys.executable, "-m", "belfry", "recommend", "999", "-n", "31", "--artifacts", str(artifacts)]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    said = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env=environment).stdout
    assert rb"on \u602a\u7269" in said


def test_row_36_python_answers_and_tables_keep_the_text(artifacts: Path) -> None:
    titles = {place.title for place in Recommender.load(artifacts).recommend(999, 31)}
    assert titles >= set(HOSTILE.values()) - {""}


def test_row_18_markdown(artifacts: Path, tmp_path: Path) -> None:
    recommender = Recommender.load(artifacts)
    random = np.random.default_rng(1)
    seen = recommender.features.history.seen_items
    ids = recommender.items.ids.to_pylist()
    rows = [
        {"user_id": user, "item_id": item}
        for user in range(40)
        for item in random.choice(ids, 8, replace=False).tolist()
        if recommender.items.number(item) not in seen.of(recommender.users.number(user))
    ]
    later = pa.Table.from_pylist(rows)
    history = recommender.features.history
    known = pa.table({"user_id": history.users.take(history.user_num), "item_id": history.items.take(history.item_num)})
    popular = pa.table(
        {"user_id": np.repeat(np.arange(40), 31), "item_id": ids * 40, "rank": np.tile(np.arange(31) + 1, 40)}
    )
    titles = pa.table({"item_id": ids, "title": recommender.titles})
    compare(
        artifacts, popular, train=known, test=later, items=titles, out=tmp_path / "compared", repeats="allow",
        names=["# [run](javascript:1)\n\n<script>", "table | `\x1b[2J`"],
    )  # fmt: skip
    save_report(evaluate_run(recommender, later, split="a\n# [b](javascript:1)", seed=0), tmp_path / "judged")
    for text in (
        (tmp_path / "compared" / "comparison.md").read_text(),
        (tmp_path / "judged" / "evaluation.md").read_text(),
    ):
        assert not STEERS.search(text)
        assert "](" not in text
        assert "<" not in text
        tables = [line for line in text.split("\n") if line.startswith("|")]
        for above, below in pairwise(tables):
            if set(below) <= set("|-: "):  # the line below a head
                assert _n_cells(above) == _n_cells(below)
    assert "[link]&#40;javascript:alert(1))" in (tmp_path / "compared" / "comparison.md").read_text()


def _n_cells(row: str) -> int:
    """As GitHub counts them: a bar behind a backslash, which is not itself escaped, ends no cell."""
    return len(re.findall(r"(?:\\.|[^|\\])+", row.strip("|")))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_row_18_a_cell(text: str) -> None:
    row = markdown_of([markdown_row([text, "end"])])
    assert row.count("\n") == 0
    assert not STEERS.search(row)
    assert _n_cells(row) == 2
    assert len(row) < 5 * LONGEST_CELL


def test_printable() -> None:
    assert printable("plain") == "plain"
    assert printable(HOSTILE["title"]) == HOSTILE["title"]
    assert printable("a\nb\x9b\u202e\ud800") == r"a\nb\x9b\u202e\ud800"
    assert printable("x" * 10, 5) == "xxxx…"
