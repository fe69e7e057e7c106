"""Opening a run tells nobody: ONNX Runtime's telemetry stays off."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPEN_AND_ANSWER = """
import sys
from belfry import Recommender

recommender = Recommender.load(sys.argv[1])
assert len(recommender.recommend(recommender.users.ids[0].as_py(), 3)) == 3
"""


def test_opening_a_run_writes_nothing_outside_of_it(tiny_run: Path, tmp_path: Path) -> None:
    """Without the switch a device id and a database turn up in the cache folder, and `.ses` in the temporary one."""
    folders = {name: tmp_path / name.lower() for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    for folder in folders.values():
        folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", *folders)}
    environment = {**kept, **{name: str(folder) for name, folder in folders.items()}, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", OPEN_AND_ANSWER, str(tiny_run)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert [str(path) for folder in folders.values() for path in folder.rglob("*")] == []
