"""Items that nobody has watched yet: a tenth of the items of MovieLens 100K lose their watches and keep their features.

Run as `python -m benchmarks.cold_items [--data-folder DIR]`. Writes docs/results/cold-items.md.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from belfry.dataset.folds import Holdout
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import split_random
from belfry.dataset.validation.check import check
from belfry.evaluation.metrics import hits, lists_of, ndcg, recall
from belfry.pipeline.config import load_config
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.serving.two_stage import Stage
from belfry.pipeline.training.train import train

RESULT = Path(__file__).parent.parent / "docs" / "results" / "cold-items.md"
SEEDS, SPLIT_SEEDS = range(3), range(2)  # of items that become new, of random splits
SHARE = 0.1
DEPTH, HEAD = 100, 10
MULTIPLES = (0, 2)  # of the places that new items deserve: none, and the default
STAGES: tuple[Stage, ...] = ("retrieval", "final")


class Found(NamedTuple):
    """Of one training, by the lists of one stage."""

    recall: float  # at `DEPTH`
    ndcg: float  # at `HEAD`
    chance: float  # recall of a list drawn at random
    share: float  # of new items among the first `DEPTH`
    head_share: float  # among the first `HEAD`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    data = prepare(check(read_data("ml-100k", parser.parse_args().data_folder))[0])
    lines = [*_head(), *_new_items(data), *_random_split(data)]
    RESULT.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def _head() -> list[str]:
    versions = installed_versions()
    return [
        "# Items without a watch",
        "",
        f"Written by `python -m benchmarks.cold_items` on {datetime.now(UTC):%Y-%m-%d}, tensorflow "
        f"{versions['tensorflow']}.",
        "",
        "MovieLens 100K, preset `default`. `new_items` is a multiple of the places that new items deserve by folds in",
        "which items are made new ([how it works](../how-it-works.md)); the default is 2, and 0 keeps them out.",
        "",
    ]


def _new_items(data: Data) -> Iterator[str]:
    yield from [
        "## New items",
        "",
        f"{SHARE:.0%} of the watched items, drawn at random with each of {len(SEEDS)} seeds, lose all watches and keep",
        "genres, year and title.",
        f"recall@{DEPTH} of the lost watches, over the whole catalogue, seen items removed, mean over users; beside it",
        "how many times that of a list drawn at random it is, and their share of the lists. Holdout `time`.",
        "",
        f"| `new_items` | stage | recall@{DEPTH} (each seed) | times random | share of {DEPTH} places | of {HEAD} |",
        "|---|---|---|---|---|---|",
    ]
    events = data.interactions
    for multiple in MULTIPLES[1:]:
        found: dict[Stage, list[Found]] = {stage: [] for stage in STAGES}
        for seed in SEEDS:
            watched = np.flatnonzero(events.item_counts)
            is_new = np.isin(events.item_num, np.random.default_rng(seed).permutation(watched)[: _n_new(watched)])
            measured = _measure(data, events.select(~is_new), events.select(is_new), "time", multiple, seed)
            for stage, one in measured.items():
                found[stage].append(one)
        for stage, all_seeds in found.items():
            mean, each = _mean(all_seeds), " / ".join(f"{one.recall:.3f}" for one in all_seeds)
            yield (
                f"| {multiple} | {stage} | {mean.recall:.3f} ({each}) | {mean.recall / mean.chance:.1f} | "
                f"{mean.share:.1%} | {mean.head_share:.1%} |"
            )


def _random_split(data: Data) -> Iterator[str]:
    yield from [
        "",
        "## What it costs otherwise",
        "",
        "A random fifth of the watches is the test part, where some forty items have no watch left. Holdout `random`,",
        f"{len(SPLIT_SEEDS)} seeds.",
        "",
        f"| `new_items` | stage | recall@{DEPTH} | NDCG@{HEAD} | share of new items in {DEPTH} places |",
        "|---|---|---|---|---|",
    ]
    for multiple in MULTIPLES:
        found: dict[Stage, list[Found]] = {stage: [] for stage in STAGES}
        for seed in SPLIT_SEEDS:
            split = split_random(data.interactions, seed=seed)
            for stage, one in _measure(data, split.train, split.test, "random", multiple, seed).items():
                found[stage].append(one)
        for stage, all_seeds in found.items():
            mean = _mean(all_seeds)
            yield f"| {multiple} | {stage} | {mean.recall:.4f} | {mean.ndcg:.4f} | {mean.share:.2%} |"


def _n_new(watched: np.ndarray) -> int:
    return round(SHARE * len(watched))


def _mean(found: list[Found]) -> Found:
    return Found(*np.mean(found, axis=0))


def _measure(
    data: Data, history: Interactions, test: Interactions, holdout: Holdout, multiple: float, seed: int
) -> dict[Stage, Found]:
    """Both stages trained on `history`, asked for the lists of those who have one and are in `test`."""
    config = load_config("default", holdout=holdout, settings=[f"new_items={multiple}"])
    two_stage = train(replace(data, interactions=history), config, holdout=holdout, seed=seed).two_stage
    users, later = np.unique(test.user_num), test.seen_items
    users = users[history.seen_items.count(users) > 0]
    n_left = len(history.items) - history.seen_items.count(users)
    found = {}
    for stage in STAGES:
        blocked = np.zeros(0, np.int32)
        lists = two_stage.lists(users, stage, n=DEPTH, exclude=history.seen_items, blocked=blocked)
        is_hit, n_later = hits(lists_of(lists, DEPTH), users, later), later.count(users)
        is_new = history.item_counts[lists.item_num] == 0
        found[stage] = Found(
            float(recall(is_hit, n_later).mean()),
            float(ndcg(is_hit[:, :HEAD], n_later).mean()),
            float((DEPTH / n_left).mean()),
            float(is_new.mean()),
            float(is_new[lists.rank <= HEAD].mean()),
        )
    return found


if __name__ == "__main__":
    main()
