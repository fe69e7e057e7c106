"""What negatives that somebody knows of are worth: items passed over, and items of the same category.

Run as `python -m benchmarks.negatives [--data-folder DIR]`. Writes docs/results/negatives.md; half an hour.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset.folds import Holdout
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
from belfry.ranking.features.groups.passed_over import PassedOver
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
N_RANKED_WORLDS = 4
DAY_S = 86_400
Kind = Literal["category", "even"]


class Log(NamedTuple):
    """What was shown and what was clicked in one round; arrays are [n_rows]."""

    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    is_click: npt.NDArray[np.bool_]


class System(NamedTuple):
    """A way to rank; `reads` says whether there are columns of what was shown."""

    name: str
    settings: tuple[str, ...] = ()
    reads: bool = True


SYSTEMS = (
    System("no columns of what was shown, all candidates are negatives", ("ranker.unshown_share=1",), reads=False),
    System("all candidates are negatives", ("ranker.unshown_share=1",)),
    System("of those that were not shown, 10%", ("ranker.unshown_share=0.1",)),
    System("**of those that were not shown, 3%: the default**"),
    System("the same, `retrieval.impression_weight=5`", ("retrieval.impression_weight=5",)),
    System("those that were shown alone", ("ranker.unshown_share=0",)),
)


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
    world, shown = World(seed), np.zeros((N_USERS, N_ITEMS), np.bool_)
    for log in _rounds(world, N_ROUNDS, seed):
        shown[log.user, log.item] = True
    return world, shown


def _rounds(world: World, n_rounds: int, seed: int) -> list[Log]:
    """Lists of a run that explores, and what was clicked, which `world` then has watched."""
    arm, logs = Arm(0.2), []
    for number in range(n_rounds):
        with TemporaryDirectory() as folder:
            lists = train(world, "pure_svd", Path(folder) / "runs", seed).recommend_many(
                range(N_USERS), N, rules=arm.rules(number)
            )
        draws = np.random.default_rng([seed, number]).random(world.worth.shape)
        log = Log(lists["user_id"].to_numpy(), lists["item_id"].to_numpy(), world.click(lists, draws))
        world.watched[log.user[log.is_click], log.item[log.is_click]] = True
        logs.append(log)
    return logs


def ranked() -> Iterator[str]:
    """True NDCG of both stages, and NDCG of what is clicked in the next round, of systems of the default preset."""
    found = np.array([_of_rankers(seed) for seed in range(N_RANKED_WORLDS)])  # [world, holdout, system, figure]
    yield "| | times: true NDCG@10 | of clicks | gate open | no times: true NDCG@10 | of clicks | gate open |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    first = found[:, :, 0, :2]
    cells = [of_seeds(first[:, holdout, figure]) for holdout in (0, 1) for figure in (0, 1)]
    yield f"| retrieval's order | {cells[0]} | {cells[1]} | | {cells[2]} | {cells[3]} | |"
    for place, system in enumerate(SYSTEMS):
        own = found[:, :, place]
        cells = []
        for holdout in (0, 1):
            cells += [change(own[:, holdout, 2 + figure], first[:, holdout, figure]) for figure in (0, 1)]
            cells.append(f"{own[:, holdout, 4].sum():.0f} of {len(found)}")
        yield f"| {system.name} | {' | '.join(cells)} |"


def _of_rankers(seed: int) -> list[list[list[float]]]:
    """[holdout, system]: true NDCG and NDCG of clicks, of retrieval and of final lists; whether the gate is open."""
    world = World(seed)
    first = np.argwhere(world.watched).T
    logs = _rounds(world, N_ROUNDS + 1, seed)
    last = logs.pop()
    is_new = last.is_click & ~_pairs(logs, first)[last.user, last.item]
    later = np.zeros(world.worth.shape, np.bool_)
    later[last.user[is_new], last.item[is_new]] = True
    world.watched &= ~later
    return [
        [_of_system(world, _table(first, logs, holdout), later, holdout, system, seed) for system in SYSTEMS]
        for holdout in ("time", "random")
    ]


def _pairs(logs: list[Log], first: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """[n_users, n_items] what was watched at first or clicked."""
    watched = np.zeros((N_USERS, N_ITEMS), np.bool_)
    watched[*first] = True
    for log in logs:
        watched[log.user[log.is_click], log.item[log.is_click]] = True
    return watched


def _table(first: npt.NDArray[np.int64], logs: list[Log], holdout: Holdout) -> pa.Table:
    """Events with times, a round a day; or, under `random`, pairs alone, each shown or watched once."""
    if holdout == "random":
        watched, shown = _pairs(logs, first), np.zeros((N_USERS, N_ITEMS), np.bool_)
        for log in logs:
            shown[log.user, log.item] = True
        pairs = [np.argwhere(watched), np.argwhere(shown & ~watched)]
        user, item = np.concatenate(pairs).T
        events = np.repeat(["watched", "shown"], [len(one) for one in pairs])
        return pa.table({"user_id": as_arrow(user), "item_id": as_arrow(item), "event": events.tolist()})
    n_first, counts = first.shape[1], [len(log.user) for log in logs]
    user, item = (np.concatenate([first[axis], *(log[axis] for log in logs)]) for axis in (0, 1))
    is_click = np.concatenate([np.ones(n_first, np.bool_), *(log.is_click for log in logs)])
    days = np.repeat(np.arange(len(counts) + 1), [n_first, *counts])
    seconds = user * 60 + 30 * is_click  # a list is seen at one moment, and clicked half a minute later
    return pa.table(
        {
            "user_id": as_arrow(user),
            "item_id": as_arrow(item),
            "event": np.where(is_click, "watched", "shown").tolist(),
            "timestamp_s": as_arrow(DAY_S * days + seconds),
        }
    )


def _of_system(
    world: World, table: pa.Table, later: npt.NDArray[np.bool_], holdout: Holdout, system: System, seed: int
) -> list[float]:
    data = prepare(check(Tables(table, pa.table({"item_id": np.arange(N_ITEMS)})))[0])
    config = load_config("default", holdout=holdout, settings=list(system.settings))
    can_fit = PassedOver.can_fit if system.reads else lambda features, config: False
    with TemporaryDirectory() as folder, patch.object(PassedOver, "can_fit", can_fit):
        run = Recommender.load(
            train_and_publish(
                data, config, preset="default", holdout=holdout, seed=seed, artifacts=Path(folder) / "runs"
            )
        )
        figures = []
        for stage in ("retrieval", "final"):
            lists = run.recommend_many(range(N_USERS), N, stage=stage)
            figures += [world.ndcg(lists), _of_clicks(lists, later)]
        return [*figures, float(run.run.manifest.gate.is_open)]


def _of_clicks(lists: pa.Table, later: npt.NDArray[np.bool_]) -> float:
    """NDCG@10 over users who click something new in the next round."""
    user, item, rank = (lists[name].to_numpy() for name in ("user_id", "item_id", "rank"))
    is_hit = np.zeros((N_USERS, N), np.bool_)
    is_hit[user, rank - 1] = later[user, item]
    n_relevant = later.sum(axis=1)
    return float(ndcg(is_hit[n_relevant > 0], n_relevant[n_relevant > 0]).mean())


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
        f"`python -m benchmarks.negatives`, {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "## Items that were shown and passed over: the ranker",
        "",
        f"The world of [feedback.md](feedback.md) after {N_ROUNDS} rounds of lists with a share of 0.2, the default "
        "preset. With times, and holdout `time`, each showing is an event, a round a day; without, and holdout "
        "`random`, each pair is watched or shown. *True* is the worth of the list, which no log tells; *of clicks* "
        "finds what users click in the next round, on lists of the run that explores: the confounded figure that "
        f"everybody has. {N_RANKED_WORLDS} worlds; ± is a 95% interval over them, of the difference to retrieval's "
        "order.",
        "",
        *ranked(),
        "",
        "## Items that were shown and passed over: the two towers",
        "",
        f"The same world, pairs without times, the two towers alone; `event` is "
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
