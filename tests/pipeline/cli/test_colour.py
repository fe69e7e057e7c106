"""Colours where a terminal shows them and nobody forbids them; seen on a real terminal, made by the system."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ESCAPE = b"\x1b"
RED, YELLOW, GREEN = b"\x1b[31m", b"\x1b[33m", b"\x1b[32m"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo terminals")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    return kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "200"} | more


def on_a_terminal(*words: object, **more: str) -> bytes:
    """What the console script writes to a terminal, both streams."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "belfry", *map(str, words)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**more)):
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            said += part
    os.close(ours)
    return said


def piped(*words: object, **more: str) -> bytes:
    command = [sys.executable, "-m", "belfry", *map(str, words)]
    done = subprocess.run(command, env=environment(**more), capture_output=True, check=False)
    return done.stdout + done.stderr


def test_colours_mean_something(tmp_path: Path) -> None:
    refused = on_a_terminal("runs", "list", "--artifacts", tmp_path)
    assert refused.startswith(RED + b"belfry: \x1b[0m")
    assert GREEN + b"ok  \x1b[0m" in on_a_terminal("doctor")


PLAIN = (["doctor"], ["runs", "list", "--artifacts", "nowhere"], ["--help"], ["runs", "list", "--wrong"])


@pytest.mark.parametrize("words", PLAIN)
@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_a_terminal_that_wants_none(words: list[str], variable: dict[str, str]) -> None:
    assert ESCAPE not in on_a_terminal(*words, **variable)


@pytest.mark.parametrize("words", PLAIN)
def test_what_is_no_terminal_gets_plain_text_unless_forced(words: list[str]) -> None:
    assert ESCAPE not in piped(*words)
    assert ESCAPE in piped(*words, FORCE_COLOR="1")
    assert ESCAPE in piped(*words, FORCE_COLOR="1", NO_COLOR="")


def test_a_document_has_no_colours() -> None:
    assert json.loads(piped("doctor", "--json", FORCE_COLOR="1"))


TRAIN = (
    *("train", "--set", "retrieval.kind=pure_svd", "--set", "retrieval.embedding_size=4", "--set", "ranker=none"),
    *("--set", "sources=[]", "--interactions", "w.csv", "--artifacts"),
)


def test_a_bar_on_a_terminal_and_nothing_of_it_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{user},{item}" for user in range(40) for item in range(30) if (user * item) % 7 < 2]
    Path("w.csv").write_text("\n".join(["user_id,item_id", *rows, rows[0]]) + "\n")
    shown = on_a_terminal(*TRAIN, "a")
    assert b"\x1b[?25l" in shown  # the cursor is hidden while the bar moves
    assert YELLOW in shown  # a note: a row is repeated
    assert b"where the time went" in shown
    batch = ("batch", "--artifacts", "a", "--out")
    plain = on_a_terminal(*batch, "b", NO_COLOR="1")
    assert b"\x1b[?25l" in plain  # a bar still moves, without colours and styles
    assert not re.search(rb"\x1b\[[0-9;]*m", plain)
    assert ESCAPE not in on_a_terminal(*batch, "c", "--quiet")
    assert b"rows for 40 users" in on_a_terminal(*batch, "c", "--quiet")
    assert ESCAPE not in piped(*batch, "d")
    assert ESCAPE not in on_a_terminal(*batch, "e", TERM="dumb")
