"""How fast a run answers: a cold process to its first list, one call, many users.

Run as `python -m benchmarks.answering [--artifacts DIR]`; without a run it trains one on MovieLens 100K (BELFRY_DATA).
Writes docs/results/answering.md. Shared machines are noisy: read the ratios and the orders of magnitude.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from belfry import Recommender
from belfry.dataset.prepare import prepare
from belfry.pipeline.config import load_config
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.training.publish import train_and_publish

RESULT = Path(__file__).parent.parent / "docs" / "results" / "answering.md"
N_CALLS = 1000
N_COLD = 5
COLD = "from belfry import recommend; import sys; recommend({user!r}, 10); assert 'tensorflow' not in sys.modules"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=Path)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        artifacts = arguments.artifacts or train_quickly(Path(folder) / "artifacts", arguments.data_folder)
        recommender = Recommender.load(artifacts)
        users = recommender.users.ids.to_pylist()
        cold_s = [_seconds_cold(artifacts, users[0]) for _ in range(N_COLD)]
        asked = [users[place % len(users)] for place in range(N_CALLS)]
        calls_ms = [1000 * _seconds(lambda user=user: recommender.recommend(user, 10)) for user in asked]
        many_s = _seconds(lambda: recommender.recommend_many(users, 10))
    versions = installed_versions()
    lines = [
        "# Answering",
        "",
        f"Written by `python -m benchmarks.answering` on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"onnxruntime {versions['onnxruntime']}, scann {versions.get('scann', 'none')}.",
        "",
        f"{len(users):,} users, {len(recommender.items):,} items, {recommender.two_stage.n_candidates} candidates of "
        "the towers for each list, both stages.",
        "",
        "| what | median | 99th percentile |",
        "|---|---|---|",
        f"| cold process to first list, s ({N_COLD} processes) | {np.median(cold_s):.2f} | {max(cold_s):.2f} (worst) |",
        f"| one `recommend(user, 10)`, ms | {np.median(calls_ms):.2f} | {np.percentile(calls_ms, 99):.2f} |",
        f"| `recommend_many`, users/s | {len(users) / many_s:,.0f} | |",
        "",
    ]
    RESULT.write_text("\n".join(lines))
    print("\n".join(lines))


def train_quickly(artifacts: Path, data_folder: Path | None) -> Path:
    """A quick run: how well it ranks does not matter here."""
    from belfry.dataset.sources.open import read_data
    from belfry.dataset.validation.check import check

    artifacts.mkdir()
    config = load_config("default", holdout="time", settings=["retrieval.epochs=5", "folds=2"])
    data = prepare(check(read_data("ml-100k", data_folder))[0])
    train_and_publish(data, config, preset="default", holdout="time", seed=0, artifacts=artifacts)
    return artifacts


def _seconds_cold(artifacts: Path, user: object) -> float:
    environment = os.environ | {"BELFRY_ARTIFACTS": str(artifacts)}
    command = [sys.executable, "-c", COLD.format(user=user)]
    return _seconds(lambda: subprocess.run(command, env=environment, check=True))


def _seconds(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started


if __name__ == "__main__":
    main()
