"""Watches kept whole, ratings thinned out: what predicts the rest of the ratings best?

Run as `python -m benchmarks.transfer [--data-folder DIR] [--parts DIR]`. Writes docs/results/transfer.md and its
figures. Parts that are finished are kept in `--parts`, so that a run that was stopped goes on.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import Split, split_random
from belfry.dataset.validation.check import check
from belfry.ranking.multitask.model import MultitaskModel
from benchmarks.transfer.gains import mean_of, rmse
from benchmarks.transfer.page import write_page
from benchmarks.transfer.parts import Parts
from benchmarks.transfer.systems import CONFIGS, SEQUENTIAL, fit_all, judge, judge_lists, keep_ratings
from benchmarks.transfer.truth import known_world
from benchmarks.transfer.utility import PRESET_SEEDS, PRESETS, judge_preset, trade_off

SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
GENERATED_SHARE = 0.05
N_SEEDS = 5
WORLDS = range(5, 10)  # seeds of generated worlds; the first five were looked at while the head was chosen


@dataclass(frozen=True)
class Epochs:
    """Of the joint fit: [n_epochs, n_tasks + 1] each."""

    losses: npt.NDArray[np.float64]
    gradient_norms: npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--parts", type=Path, help="keeps finished parts [a folder that goes away]")
    arguments = parser.parse_args()
    data = prepare(check(read_data("ml-100k", arguments.data_folder))[0])
    with TemporaryDirectory() as aside:
        parts = Parts(arguments.parts or Path(aside))
        for seed in WORLDS:
            run_generated(seed, parts)
        for seed in range(N_SEEDS):
            run_movielens(data, seed, parts)
        for preset in PRESETS:
            for seed in PRESET_SEEDS:
                run_preset(data, preset, seed, parts)
        write_page(parts, shares=SHARES, n_seeds=N_SEEDS, worlds=WORLDS, generated_share=GENERATED_SHARE)


def run_movielens(data: Data, seed: int, parts: Parts) -> None:
    """Every share of ratings on one random split of MovieLens 100K."""
    missing = [share for share in SHARES if f"{seed}-{share:g}" not in parts]
    if not missing:
        return
    split = split_random(data.interactions, seed=seed)
    assert split.test.rating is not None
    watched = MultitaskModel(CONFIGS[SEQUENTIAL]).fit(split.train, data.features(split.train), seed=seed)
    watch_lists = judge_lists(watched, data, split)
    for share in missing:
        thinned = Split(keep_ratings(split.train, share, seed=seed), split.test)
        fitted = fit_all(data, thinned.train, watched, seed=seed)
        found: dict[str, object] = {
            name: judge(predict, split.test, split.test.rating.astype(np.float64))
            for name, predict in fitted.predict.items()
        }
        found |= {"watch only/lists": watch_lists, "joint/lists": judge_lists(fitted.joint, data, thinned)}
        if share == 1:
            logs = fitted.joint.epoch_logs
            losses, norms = ([getattr(log, name) for log in logs] for name in ("losses", "gradient_norms"))
            found |= {
                "joint/utility": trade_off(fitted.joint, data, thinned),
                "joint/epochs": Epochs(np.array(losses), np.array(norms)),
            }
        parts.save(f"{seed}-{share:g}", found)
        print(
            f"seed {seed}, share {share:g}:",
            {name: round(mean_of(rmse, [found[name]]), 4) for name in fitted.predict},
            flush=True,
        )


def run_generated(seed: int, parts: Parts) -> None:
    """One share of ratings in the generated world, against the truth."""
    if f"generated-{seed}" in parts:
        return
    world = known_world(seed)
    history = keep_ratings(world.split.train, GENERATED_SHARE, seed=seed)
    watched = MultitaskModel(CONFIGS[SEQUENTIAL]).fit(history, world.data.features(history), seed=seed)
    fitted = fit_all(world.data, history, watched, seed=seed)
    found = {name: judge(predict, world.split.test, world.truth) for name, predict in fitted.predict.items()}
    parts.save(f"generated-{seed}", found)
    rounded = {name: round(mean_of(rmse, [errors]), 4) for name, errors in found.items()}
    print(f"generated, seed {seed}:", rounded, flush=True)


def run_preset(data: Data, preset: str, seed: int, parts: Parts) -> None:
    """The final lists of a preset on one random split."""
    if f"preset-{preset}-{seed}" not in parts:
        split = split_random(data.interactions, seed=seed)
        parts.save(f"preset-{preset}-{seed}", {"lists": judge_preset(data, split, preset, seed=seed)})


if __name__ == "__main__":
    main()
