"""A command in a process of its own, and what it used."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parent.parent.parent
MIB = 1 << 20
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


@dataclass(frozen=True)
class Usage:
    """Of a process and the children that it waited for."""

    cpu_s: float
    wall_s: float
    peak_mib: float  # resident; of the largest one of them
    told: dict[str, Any]  # the JSON object in its last line, empty where there is none


def run(command: Sequence[str | Path], **environment: str) -> Usage:
    """Run Python with these arguments, from its start to its end, one thread for each numerical library.

    Raises:
        CalledProcessError: it failed; it has said why on stderr.
    """
    whole = [sys.executable, *map(str, command)]
    started = perf_counter()
    variables = os.environ | _ONE_THREAD | environment
    with subprocess.Popen(whole, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, whole)
    return Usage(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss * _RSS_UNIT / MIB, _told(lines))


def _told(lines: Sequence[str]) -> dict[str, Any]:
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
