"""Items that nobody has watched yet: a tenth of the items of MovieLens 100K lose their watches and keep their features.

Run as `python -m benchmarks.cold_items [--data-folder DIR]`. Writes docs/results/cold-items.md.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import split_random
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import Numbers
from belfry.evaluation.metrics import PerUser, hits, lists_of, recall
from belfry.pipeline.runs.versions import installed_versions
from belfry.retrieval.config import TwoTowerConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.two_tower import TwoTower

RESULT = Path(__file__).parent.parent / "docs" / "results" / "cold-items.md"
SEEDS = range(3)
SHARE = 0.1
DEPTH = 100
OPTIMISM = (0.0, 0.5, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    data = prepare(check(read_data("ml-100k", parser.parse_args().data_folder))[0])
    rows = {optimism: [_measure(data, seed, optimism) for seed in SEEDS] for optimism in OPTIMISM}
    lines = [
        "# Items without a watch",
        "",
        f"Written by `python -m benchmarks.cold_items` on {datetime.now(UTC):%Y-%m-%d}, tensorflow "
        f"{installed_versions()['tensorflow']}.",
        "",
        f"MovieLens 100K, {len(SEEDS)} seeds. {SHARE:.0%} of the watched items, drawn at random, lose all watches and",
        f"keep genres, year and title; the default towers train on the rest. recall@{DEPTH} of the lost watches, over",
        "the whole catalogue, seen items removed, mean over users; beside it how many times that of a list drawn at",
        "random it is, and the share of such items in the lists. The last column is what the same setting costs",
        "otherwise: recall of a random fifth of the watches, where some items happen to have no watch left.",
        "",
        f"| `new_item_optimism` | recall@{DEPTH} of new items (each seed) | times random | share of lists | "
        f"random 80/20, recall@{DEPTH} |",
        "|---|---|---|---|---|",
    ]
    for optimism, found in rows.items():
        recalls, times, shares, known = np.array(found).T
        each = " / ".join(f"{value:.3f}" for value in recalls)
        lines.append(
            f"| {optimism:g} | {recalls.mean():.3f} ({each}) | {times.mean():.1f} | {shares.mean():.1%} | "
            f"{known.mean():.4f} |"
        )
    RESULT.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def _measure(data: Data, seed: int, optimism: float) -> tuple[float, float, float, float]:
    """Recall of new items, how many times that of chance it is, their share of lists, and recall of known items."""
    events, config = data.interactions, TwoTowerConfig(new_item_optimism=optimism)
    watched = np.flatnonzero(events.item_counts)
    new = np.random.default_rng(seed).permutation(watched)[: round(SHARE * len(watched))]
    is_new = np.isin(events.item_num, new)
    train, test = events.select(~is_new), events.select(is_new)
    found = _lists(data, train, np.unique(test.user_num), config, seed)
    by_chance = DEPTH / (len(events.items) - train.seen_items.count(found.users))
    split = split_random(events, seed=seed)
    known = _lists(data, split.train, np.unique(split.test.user_num), config, seed)
    return (
        float(_recall(found, test).mean()),
        float(_recall(found, test).mean() / by_chance.mean()),
        float(np.isin(found.item_num, new).mean()),
        float(_recall(known, split.test).mean()),
    )


def _lists(data: Data, train: Interactions, users: Numbers, config: TwoTowerConfig, seed: int) -> Candidates:
    """The best of the whole catalogue for those of `users` who have a history."""
    features = data.features(train)
    towers = TwoTower(config).fit(train, features, seed=seed)
    items = np.arange(1, len(train.items) + 1, dtype=np.int32)
    index = ExactIndex.build(towers.encode_candidates(items, features), items)
    users = users[train.seen_items.count(users) > 0]
    return IndexedRetriever(towers, index).retrieve(users, features, top_k=DEPTH, exclude=train.seen_items)


def _recall(found: Candidates, test: Interactions) -> PerUser:
    later = test.seen_items
    return recall(hits(lists_of(found, DEPTH), found.users, later), later.count(found.users))


if __name__ == "__main__":
    main()
