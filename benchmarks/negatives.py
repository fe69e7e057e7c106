"""What negatives that somebody knows of are worth to the two towers: items passed over, and items of the same category.

Run as `python -m benchmarks.negatives [--data-folder DIR]`. Writes docs/results/negatives.md; some minutes.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import split_random
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import as_arrow
from belfry.evaluation.metrics import hits, lists_of, ndcg, recall
from belfry.pipeline.config import load_config
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training.publish import train_and_publish
from belfry.retrieval.config import TwoTowerConfig
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.two_tower import TwoTower
from benchmarks.feedback import N_ITEMS, N_USERS, Arm, N, World, change, of_seeds, train

RESULT = Path(__file__).parent.parent / "docs" / "results" / "negatives.md"
N_WORLDS, N_ROUNDS = 8, 4
WEIGHTS = (0.0, 1.0, 2.0, 5.0, 20.0)  # of an item that was passed over
N_SPLITS, N_DRAWN = 5, 50  # items of a user with a weight of their own
Kind = Literal["category", "even"]


def passed_over() -> Iterator[str]:
    """In the world of docs/results/feedback.md, after some rounds of exploring lists."""
    found = np.array([[_of_weight(*shown_by(seed), weight, seed) for weight in WEIGHTS] for seed in range(N_WORLDS)])
    yield "| weight of an item passed over | true NDCG@10 |"
    yield "|---:|---:|"
    for place, weight in enumerate(WEIGHTS):
        values = found[:, place]
        yield f"| {weight:g} | {of_seeds(values) if not place else change(values, found[:, 0])} |"


def shown_by(seed: int) -> tuple[World, npt.NDArray[np.bool_]]:
    """A world after `N_ROUNDS` of lists of a run that explores, and [n_users, n_items] what was shown."""
    world, arm, shown = World(seed), Arm(0.2), np.zeros((N_USERS, N_ITEMS), np.bool_)
    for number in range(N_ROUNDS):
        with TemporaryDirectory() as folder:
            lists = train(world, "pure_svd", Path(folder) / "runs", seed).recommend_many(
                range(N_USERS), N, rules=arm.rules(number)
            )
        shown[lists["user_id"].to_numpy(), lists["item_id"].to_numpy()] = True
        draws = np.random.default_rng([seed, number]).random(world.worth.shape)
        clicked = lists.filter(pa.array(world.click(lists, draws)))
        world.watched[clicked["user_id"].to_numpy(), clicked["item_id"].to_numpy()] = True
    return world, shown


def _of_weight(world: World, shown: npt.NDArray[np.bool_], weight: float, seed: int) -> float:
    """True NDCG of the lists of two towers that know what was shown."""
    pairs = [np.argwhere(world.watched), np.argwhere(shown & ~world.watched)]
    events = np.repeat(["watched", "shown"], [len(one) for one in pairs])
    user, item = np.concatenate(pairs).T
    table = pa.table({"user_id": as_arrow(user), "item_id": as_arrow(item), "event": events.tolist()})
    data = prepare(check(Tables(table, pa.table({"item_id": np.arange(N_ITEMS)})))[0])
    settings = [f"retrieval.impression_weight={weight}", "ranker=none", "sources=[]"]
    config = load_config("default", holdout="random", settings=settings)
    with TemporaryDirectory() as folder:
        run = train_and_publish(
            data, config, preset="default", holdout="random", seed=seed, artifacts=Path(folder) / "runs"
        )
        return world.ndcg(Recommender.load(run).recommend_many(range(N_USERS), N))


def of_categories(folder: Path) -> Iterator[str]:
    """On validation parts of MovieLens 100K: unwatched items of a user's genres, or any, with another weight."""
    data = prepare(check(read_data("ml-100k", folder))[0])
    cases: tuple[tuple[Kind | None, float], ...] = (
        (None, 1.0),
        ("even", 2.0),
        ("category", 2.0),
        ("even", 5.0),
        ("category", 5.0),
    )
    found = np.array([[_of_kind(data, kind, weight, seed) for seed in range(N_SPLITS)] for kind, weight in cases])
    yield f"| {N_DRAWN} negatives of a user | weight | NDCG@10 | recall@100 |"
    yield "|---|---:|---:|---:|"
    for place, (kind, weight) in enumerate(cases):
        cells = [
            change(found[place, :, one], found[0, :, one]) if place else of_seeds(found[0, :, one]) for one in (0, 1)
        ]
        yield f"| {kind or 'none'} | {weight:g} | {' | '.join(cells)} |"


def _of_kind(data: Data, kind: Kind | None, weight: float, seed: int) -> tuple[float, float]:
    split = split_random(split_random(data.interactions, seed=seed).train, seed=seed + 10)
    history, later = split.train, split.test.seen_items
    if kind:
        history = replace(history, impressions=_drawn(data, history, kind, seed))
    features, users = data.features(history), np.flatnonzero(np.diff(later.starts)).astype(np.int32)
    towers = TwoTower(TwoTowerConfig(impression_weight=weight)).fit(history, features, seed=seed)
    items = np.arange(1, len(history.items) + 1, dtype=np.int32)
    vectors = towers.encode_candidates(items, features)
    retriever = IndexedRetriever(towers, build_index(vectors, items, IndexConfig(), vectors[:0]))
    lists = lists_of(retriever.retrieve(users, features, top_k=100, exclude=history.seen_items), 100)
    is_hit, n_relevant = hits(lists, users, later), later.count(users)
    return float(ndcg(is_hit[:, :N], n_relevant).mean()), float(recall(is_hit, n_relevant).mean())


def _drawn(data: Data, history: Interactions, kind: Kind, seed: int) -> SeenItems:
    """`N_DRAWN` unwatched items of each user, evenly or by how much of their history shares a genre."""
    shape = len(history.users) + 1, len(history.items) + 1
    watched = np.zeros(shape, np.bool_)
    watched[history.user_num, history.item_num] = True
    weight = np.ones(shape)
    if kind == "category":
        assert data.item_table is not None
        rows = data.item_table["genres"].to_pylist()
        labels = sorted({label for row in rows for label in row})
        genres = np.zeros((shape[1], len(labels)))
        for number, row in zip(history.items.numbers(data.item_table["item_id"]), rows, strict=True):
            genres[number, [labels.index(label) for label in row]] = 1
        weight = watched.astype(np.float64) @ genres @ genres.T
    weight[watched | ~watched.any(axis=0)] = 0
    with np.errstate(divide="ignore"):
        keys = np.log(np.random.default_rng(seed).random(shape)) / weight
    items = np.sort(np.argsort(-keys, axis=1)[1:, :N_DRAWN], axis=1).astype(np.int32)
    return SeenItems(np.append(0, np.arange(shape[0]) * N_DRAWN).astype(np.int64), items.ravel())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    folder = parser.parse_args().data_folder or Path(os.environ["BELFRY_DATA"])
    lines = [
        "# Negatives that somebody knows of",
        "",
        f"`python -m benchmarks.negatives`, {datetime.now(UTC):%Y-%m-%d}. The two towers of the default preset alone.",
        "",
        "## Items that were shown and passed over",
        "",
        f"The world of [feedback.md](feedback.md) after {N_ROUNDS} rounds of lists with a share of 0.2; `event` is "
        "`shown` where nothing was clicked, and `retrieval.impression_weight` what it counts (0: not read). "
        f"{N_WORLDS} worlds; ± is a 95% interval over them, of the difference to 0.",
        "",
        *passed_over(),
        "",
        "## Items of the same category",
        "",
        "MovieLens 100K, a fifth of the train part of a random split held back. Every item is a negative of every user "
        "there already, as in any catalogue of up to `n_candidates`; some get another weight: those of the genres of "
        f"the user's history, or, to tell whether the genre matters, any. {N_SPLITS} splits; ± as above, of the "
        "difference to none.",
        "",
        *of_categories(folder),
        "",
    ]
    RESULT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
