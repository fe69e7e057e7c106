"""Errors become one message and an exit code; progress keeps quiet where nobody looks."""

import io
import os
import signal
import subprocess
import sys
import threading

import pytest

from belfry.dataset.errors import ArtifactError, DivergenceError, DownloadError, InputError
from belfry.pipeline.cli.console import errors_as_exit_codes, one_bar, progress
from belfry.pipeline.progress import Work

APP = """
import signal, sys, time
from pathlib import Path
import typer
from belfry.dataset.errors import InputError
from belfry.pipeline.runs.writer import publish
from belfry.pipeline.cli.console import errors_as_exit_codes
from belfry.pipeline.runs.manifest import RunInfo

app = typer.Typer()

@app.command()
def wrong() -> None:
    raise InputError("users: no such file")

@app.command()
def broken() -> None:
    raise ZeroDivisionError("one\\n two")

@app.command()
def leave(code: int) -> None:
    raise typer.Exit(code)

@app.command()
def train(artifacts: Path) -> None:
    info = RunInfo(preset="default", seed=0, holdout="time", config={}, versions={}, input_hash="")
    with publish(artifacts, info) as writer:
        (writer.folder / "half").write_text("half")
        print("writing", flush=True)
        time.sleep(600)

@app.command()
def chatter() -> None:
    for i in range(100_000):
        print("line", i)

signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background start with it ignored
with errors_as_exit_codes():
    app()
"""


def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", APP, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("said plainly"), 2),
        (ArtifactError("said plainly"), 2),
        (DownloadError("said plainly"), 1),
        (DivergenceError("said plainly"), 1),
    ],
)
def test_our_errors(capsys, monkeypatch, error, code):
    monkeypatch.delenv("BELFRY_DEBUG", raising=False)
    with pytest.raises(SystemExit) as stop, errors_as_exit_codes():
        raise error
    assert stop.value.code == code
    assert capsys.readouterr() == ("", "belfry: said plainly\n")


def test_foreign_errors_in_one_line(capsys, monkeypatch):
    monkeypatch.delenv("BELFRY_DEBUG", raising=False)
    with pytest.raises(SystemExit) as stop, errors_as_exit_codes():
        raise ValueError("several\n  lines")
    assert stop.value.code == 1
    wanted = "belfry: internal error: ValueError: several lines; run with BELFRY_DEBUG=1 for the traceback\n"
    assert capsys.readouterr().err == wanted


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("BELFRY_DEBUG", "1")
    with pytest.raises(SystemExit), errors_as_exit_codes():
        raise InputError("said plainly")
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("\nbelfry: said plainly\n")


def test_ctrl_c(capsys, monkeypatch):
    monkeypatch.delenv("BELFRY_DEBUG", raising=False)
    with pytest.raises(SystemExit) as stop, errors_as_exit_codes():
        raise KeyboardInterrupt
    assert stop.value.code == 1
    assert "nothing is half published" in capsys.readouterr().err


def test_success_and_exits_pass_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with errors_as_exit_codes():
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    with pytest.raises(SystemExit) as stop, errors_as_exit_codes():
        raise SystemExit(3)
    assert stop.value.code == 3
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_works_off_the_main_thread():
    seen: list[object] = []

    def run() -> None:
        try:
            with errors_as_exit_codes():
                raise InputError("x")
        except SystemExit as stop:
            seen.append(stop.code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [2]


def test_around_a_typer_application():
    done = call("wrong")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "belfry: users: no such file\n")
    done = call("broken")
    assert done.returncode == 1
    assert done.stderr.startswith("belfry: internal error: ZeroDivisionError: one two; ")
    assert "Traceback" in call("broken", BELFRY_DEBUG="1").stderr
    assert call("leave", 5).returncode == 5
    done = call("leave", "five")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_clean_up(tmp_path, number):
    command = [sys.executable, "-c", APP, "train", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        _, error = process.communicate()
    assert process.returncode == 1
    assert error.startswith("belfry: stopped; nothing is half published")
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_reader_that_leaves_is_no_news():
    command = [sys.executable, "-c", APP, "chatter"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == 1
    assert error == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"), [(Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)]
)
def test_progress(monkeypatch, stream, quiet, shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with progress(quiet=quiet) as bars:
        task = bars.add_task("train", total=2)
        bars.advance(task)
        bars.advance(task)
    assert bars.finished
    assert ("train" in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown


def test_progress_costs_nothing_until_it_is_used():
    program = "import sys, belfry.pipeline.cli.console; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_one_bar_for_the_whole(monkeypatch, stream, quiet):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    work = Work()
    work.expect("fit", 2)
    stream.seek(0)
    stream.truncate()
    with one_bar(work, quiet=quiet), work.step("fit", text="fit, part 1 of 2"):
        pass
    assert bool(stream.getvalue()) == (stream.isatty() and not quiet)
    assert ("fit, part 1 of 2" in stream.getvalue()) == bool(stream.getvalue())
