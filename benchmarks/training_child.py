"""One training in a process of its own, for `benchmarks.training_speed`; prints one JSON line.

python -m benchmarks.training_child speed --system {report,report-512,default} --epochs 4 [--data-folder DIR]
python -m benchmarks.training_child memory --rows 1000000
"""

import argparse
import json
import resource
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa

from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import split_random
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.layers.batches import WatchBatches
from belfry.layers.config import ModelConfig
from belfry.layers.negatives import NegativeSampler
from belfry.retrieval.config import ReportConfig, TwoTowerConfig
from belfry.retrieval.registry import make_towers

CONFIGS: dict[str, ModelConfig] = {
    "report": ReportConfig(),
    "report-512": ReportConfig(batch_size=512),
    "default": TwoTowerConfig(),
}
N_ITEMS = 2_000
WATCHES_PER_USER = 100
_USERS_PER_BLOCK = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("--system", choices=CONFIGS, default="default")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--data-folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    measured = _speed(asked.system, asked.epochs, asked.data_folder) if asked.what == "speed" else _memory(asked.rows)
    print(json.dumps(measured))


def _speed(system: str, n_epochs: int, data_folder: Path | None) -> dict[str, list[float] | float]:
    """`epoch_s`, seconds of each epoch as `fit` runs it, and `n_examples`, those of an epoch."""
    data = prepare(check(read_data("ml-100k", data_folder))[0])
    train = split_random(data.interactions, seed=0).train
    config = CONFIGS[system]
    n_examples = float(len(train)) if config.kind == "report" else _n_targets(train)
    marks = [perf_counter()]
    make_towers(config.model_copy(update={"epochs": n_epochs})).fit(
        train, data.features(train), seed=0, progress=lambda done, total: marks.append(perf_counter())
    )
    return {"epoch_s": np.diff(marks).tolist(), "n_examples": n_examples}


def _n_targets(history: Interactions) -> float:
    """Watches that the default towers must predict in an epoch; the others are read, or left out by dropout."""
    config = TwoTowerConfig()
    draw, generator = NegativeSampler(history, config.negatives, config.n_candidates), np.random.default_rng(0)
    blocks = WatchBatches(history, config, draw).epoch(generator)
    return float(sum(len(block.targets.weight) for block in blocks))


def _memory(n_rows: int) -> dict[str, float]:
    """`peak_bytes` of this process, after one epoch of the default towers on generated watches."""
    data = prepare(check(generate(n_rows))[0])
    make_towers(TwoTowerConfig(epochs=1)).fit(data.interactions, data.features(data.interactions), seed=0)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


def generate(n_rows: int) -> Tables:
    """Watches over a catalogue of `N_ITEMS`: each user `WATCHES_PER_USER` different items, drawn by popularity.

    Made in blocks, so that generating takes little memory beside the table itself.
    """
    generator = np.random.default_rng(0)
    log_share = -np.log(np.arange(1, N_ITEMS + 1, dtype=np.float32))
    n_users = n_rows // WATCHES_PER_USER
    item_id = np.empty((n_users, WATCHES_PER_USER), np.int64)
    for first in range(0, n_users, _USERS_PER_BLOCK):
        rows = item_id[first : first + _USERS_PER_BLOCK]
        # The largest of log share + Gumbel noise are a draw without replacement.
        chance = generator.standard_exponential((len(rows), N_ITEMS), dtype=np.float32)
        noise = -np.log(np.maximum(chance, np.finfo(np.float32).tiny))
        rows[:] = np.argpartition(-(log_share + noise), WATCHES_PER_USER, axis=1)[:, :WATCHES_PER_USER]
    user_id = np.repeat(np.arange(n_users), WATCHES_PER_USER)
    timestamp_s = generator.integers(1_500_000_000, 1_600_000_000, item_id.size)
    return Tables(pa.table({"user_id": user_id, "item_id": item_id.ravel(), "timestamp_s": timestamp_s}))


if __name__ == "__main__":
    main()
