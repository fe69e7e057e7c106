"""Errors become one message and an exit code; progress keeps quiet where nobody looks."""

import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

from belfry.dataset.errors import ArtifactError, DivergenceError, DownloadError, InputError
from belfry.pipeline.cli import signals
from belfry.pipeline.cli.console import bars, one_bar
from belfry.pipeline.cli.log import log_to_stderr
from belfry.pipeline.progress import Work
from tests.pipeline.cli.exit_codes import errors_as_exit_codes

APP = """
import signal, sys, time
from pathlib import Path
import typer
from belfry.dataset.errors import InputError
from belfry.pipeline.runs.writer import publish
from belfry.pipeline.cli import signals
from belfry.pipeline.runs.manifest import RunInfo
from tests.pipeline.cli.exit_codes import errors_as_exit_codes

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


def run(body: str) -> subprocess.CompletedProcess[str]:
    """A program that does `body` as the console script would."""
    lines = [
        "import gc, os, signal, sys, threading, time",
        "from belfry.pipeline.cli.console import *",
        "from belfry.pipeline.cli.log import *",
        "import belfry.pipeline.cli.signals as signals",
        "from tests.pipeline.cli.exit_codes import errors_as_exit_codes",
    ]
    lines += ["signal.signal(signal.SIGINT, signal.default_int_handler)", "with errors_as_exit_codes():"]
    program = "\n".join([*lines, textwrap.indent(textwrap.dedent(body), "    ")])
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


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


def test_a_defect_is_told_with_its_place_and_its_log(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("BELFRY_DEBUG", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["belfry", "train", "--seed", "1"])
    with pytest.raises(SystemExit) as stop, errors_as_exit_codes(), Work().step("ranker"):
        raise ValueError("several\n  lines, \x1b[2J")
    assert stop.value.code == 1
    (log,) = tmp_path.iterdir()
    assert capsys.readouterr().err == (
        "belfry: internal error in belfry train, at the step 'ranker': ValueError: several lines, \\x1b[2J; this is a "
        f"defect of Belfry, please report it with the full traceback in {log}\n"
    )
    text = log.read_text()
    assert text.startswith("'belfry' 'train' '--seed' '1'\nPython 3.")
    assert "Traceback (most recent call last)" in text


def test_a_defect_without_room_for_its_log(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("BELFRY_DEBUG", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SystemExit), errors_as_exit_codes():
        raise ValueError
    assert capsys.readouterr().err.endswith("please report it; run with BELFRY_DEBUG=1 for the traceback\n")


def test_no_memory_is_no_defect(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["belfry", "batch"])
    with pytest.raises(SystemExit) as stop, errors_as_exit_codes():
        raise MemoryError
    assert stop.value.code == 1
    assert capsys.readouterr().err == "belfry: there is not enough memory in belfry batch; free some and run again\n"


def test_messages_and_logs_steer_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    hostile = "\x1b[2J\x9b31m\u202eevil\r\x07" + "x" * 100_000
    with pytest.raises(SystemExit), errors_as_exit_codes():
        log_to_stderr(verbose=False)
        logging.getLogger("belfry.test").warning("note: %s", hostile)
        raise InputError(f"two lines\n{hostile}")
    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 4
    for line in lines:
        assert line.isprintable()
        assert len(line) < 2_100
    assert lines[0].startswith(r"note: \x1b[2J\x9b31m\u202eevil\r\x07xxx")


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("BELFRY_DEBUG", "1")
    with pytest.raises(SystemExit), errors_as_exit_codes():
        raise InputError("said plainly")
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("\nbelfry: said plainly\n")


def test_an_exception_like_ctrl_c():
    done = run("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr.count("\n")) == (130, 1)
    assert done.stderr.startswith("belfry: stopped; nothing is half published")


def test_success_and_exits_pass_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with errors_as_exit_codes():
        assert signal.getsignal(signal.SIGTERM) is not before
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
    assert done.stderr.startswith("belfry: internal error in belfry broken: ZeroDivisionError: one two; ")
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
    assert process.returncode == 128 + number
    assert error.startswith("belfry: stopped; nothing is half published")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


# Places where Python drops or changes what a signal raises.
PLACES = {
    "a callback of the collector": """
        def callback(phase, info):
            gc.callbacks.clear()
            signal.raise_signal(NUMBER)
        gc.callbacks.append(callback)
        gc.collect()
        """,
    "a destructor": """
        class Thing:
            def __del__(self):
                signal.raise_signal(NUMBER)
        thing = Thing()
        del thing
        """,
    "a callback from C": """
        import ctypes
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
        numbers = (ctypes.c_int * 2)(2, 1)
        compare = kind(lambda a, b: signal.raise_signal(NUMBER) or 0)
        ctypes.CDLL(None).qsort(numbers, 2, ctypes.sizeof(ctypes.c_int), compare)
        """,
    "code that makes another error of it": """
        try:
            signal.raise_signal(NUMBER)
        except BaseException:
            raise ImportError("initialization failed") from None
        """,
    "code that drops all": """
        while True:
            try:
                signal.raise_signal(NUMBER)
                time.sleep(0.1)
            except BaseException:
                pass
        """,
    "code that holds on to it": """
        held = []
        try:
            signal.raise_signal(NUMBER)
        except BaseException as error:
            held.append(error)
        """,
    "code that leaves by itself": """
        try:
            signal.raise_signal(NUMBER)
        finally:
            sys.exit(0)
        """,
    "a long call from C": """
        import ctypes
        threading.Timer(0.2, os.kill, (os.getpid(), NUMBER)).start()
        while True:  # whoever is woken up goes on
            ctypes.CDLL(None).sleep(100)
        """,
    "waiting for a thread that never ends": """
        threading.Thread(target=time.sleep, args=(600,)).start()
        signal.raise_signal(NUMBER)
        """,
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_signal_stops_wherever_it_lands(place: str, number: signal.Signals) -> None:
    started = time.monotonic()
    done = run(place.replace("NUMBER", str(int(number))) + "\n        time.sleep(600)\n")
    assert done.returncode == 128 + number
    assert done.stderr == signals._STOPPED
    assert time.monotonic() - started < 5


def test_the_watcher_removes_temporary_folders(tmp_path: Path) -> None:
    body = f"""
        import tempfile
        folder = tempfile.TemporaryDirectory(dir={str(tmp_path)!r})
        open(folder.name + "/half", "w").close()
        while True:
            try:
                signal.raise_signal(signal.SIGTERM)
                time.sleep(1)
            except BaseException:
                pass
        """
    assert run(body).returncode == 143
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at_exit", [True, False])
def test_a_signal_after_the_work(number: signal.Signals, at_exit: bool) -> None:
    """While the process is taken down; and between the work and that."""
    send = f"(signal.raise_signal({int(number)}), time.sleep(600))"
    place = f"atexit.register(lambda: {send})" if at_exit else f"main.leave = lambda code: {send}"
    program = f"""
import atexit, signal, sys, time
from belfry.pipeline.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["belfry", "doctor"]
{place}
main.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 128 + number
    assert done.stderr == signals._STOPPED


def test_a_signal_at_each_line_around_the_work() -> None:
    """Python calls handlers between lines: each one of the console script itself is tried."""
    program = """
import os, signal, sys, types
from belfry.pipeline.cli import main
sys.modules["belfry.pipeline.cli.commands"] = types.SimpleNamespace(app=lambda: None)
files, left = {"main.py", "console.py", "contextlib.py"}, int(sys.argv[1])
def trace(frame, event, argument):
    global left
    is_handled = signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    if is_handled and os.path.basename(frame.f_code.co_filename) in files:
        left -= 1
        if left == 0:
            os.write(1, b"sent")
            signal.raise_signal(signal.SIGTERM)
    return trace
sys.settrace(trace)
main.main()
"""
    for line in range(1, 200):
        done = subprocess.run([sys.executable, "-c", program, str(line)], capture_output=True, text=True, check=False)
        if done.stdout != "sent":
            break
        assert (done.returncode, done.stderr) == (143, signals._STOPPED), line
    assert 20 < line < 100


def test_a_signal_that_is_to_be_ignored() -> None:
    body = """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with errors_as_exit_codes():
            signal.raise_signal(signal.SIGINT)
        """
    assert run(body).returncode == 0


def test_the_library_sets_no_handler() -> None:
    program = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import belfry.pipeline.cli.commands, belfry.pipeline.cli.main
from belfry import Recommender, compare, recommend, train
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_libraries(quiet: bool) -> None:
    body = f"""
        import logging
        log_to_stderr(verbose=False)
        with quiet_libraries({quiet}):
            os.write(2, b"I0000 from C++\\n")
            logging.getLogger("belfry.test").warning("a note")
        os.write(2, b"afterwards\\n")
        logging.getLogger("belfry.test").warning("another note")
        """
    said = run(body).stderr
    assert said == ("" if quiet else "I0000 from C++\n") + "a note\nafterwards\nanother note\n"


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
    with bars(quiet=quiet) as report:
        report("train", 1, 2)
        report("train", 2, 2)
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
