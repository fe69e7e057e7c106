"""Seconds by stage, which add up to the whole."""

import subprocess
import sys
import time

import pytest

from belfry.pipeline.stopwatch import REST, Stopwatch

BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_stages_add_up():
    stopwatch = Stopwatch()
    for name in ("fit", "rank", "fit"):
        with stopwatch.stage(name):
            time.sleep(0.02)
    found = stopwatch.by_stage()
    assert list(found) == ["fit", "rank", REST]
    assert found["fit"].wall >= 0.04
    assert found["fit"].cpu < found["fit"].wall
    assert sum(seconds.wall for seconds in found.values()) == pytest.approx(stopwatch.total.wall, abs=0.01)


def test_children_count():
    stopwatch = Stopwatch()
    with stopwatch.stage("child"):
        subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert stopwatch.by_stage()["child"].cpu >= 0.25
