"""A command in a process of its own, and what it used."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
MIB = 1 << 20
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes
# A process starts with the peak memory of whoever started it: so one that has hardly any does.
_LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
_, status, used = os.wait4(os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]]), 0)
usage = [time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss]
print(json.dumps(usage), flush=True)
sys.exit(os.waitstatus_to_exitcode(status))
"""


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
    whole = [sys.executable, "-S", "-c", _LAUNCHER, *map(str, command)]
    variables = os.environ | _ONE_THREAD | environment
    done = subprocess.run(whole, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    *lines, usage = done.stdout.splitlines()
    wall_s, cpu_s, peak = json.loads(usage)
    return Usage(cpu_s, wall_s, peak * _RSS_UNIT / MIB, _told(lines))


def _told(lines: Sequence[str]) -> dict[str, Any]:
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
