"""What an update costs, what stays as it was, and what lists gain by it, beside training anew.

Run as `python -m benchmarks.update [--data-folder DIR]`; DIR holds ml-1m/ and ml-100k.zip. Writes
docs/results/update.md; some minutes.
"""

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import belfry
from belfry.dataset import columns
from belfry.dataset.arrays import Mask
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.open import read_data
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import ItemNums, UserNums, Vocabulary
from belfry.evaluation.metrics import PerUser, hits, ndcg
from belfry.pipeline.jobs.updating.fresh import with_history
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.runs.versions import installed_versions

RESULT = Path(__file__).parent.parent / "docs" / "results" / "update.md"
N, N_ASKED, N_STEPS = 10, 1500, 10
IDS = [columns.USER_ID, columns.ITEM_ID]


@dataclass(frozen=True)
class Cost:
    """Of a process, from its start to its end."""

    cpu_s: float
    wall_s: float
    peak_mib: float

    @property
    def cells(self) -> str:
        """Of a table."""
        return f"{self.cpu_s:.1f} | {self.wall_s:.1f} | {self.peak_mib:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-1m/ and ml-100k.zip lie [BELFRY_DATA]")
    folder = parser.parse_args().data_folder or Path(os.environ["BELFRY_DATA"])
    with TemporaryDirectory() as place:
        large = _rows(pq.read_table(folder / "ml-1m" / "watches.parquet"), Path(place) / "1m")
        small = _by_time(folder, Path(place) / "100k")
    lines = [
        "# Updates",
        "",
        f"Written by `python -m benchmarks.update` on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, belfry "
        f"{installed_versions()['belfry-recommender']}, numpy {installed_versions()['numpy']}. Processes are measured",
        "from start to end, libraries and the check of the new run included.",
        "",
        *large,
        "",
        *small,
        "",
    ]
    RESULT.write_text("\n".join(lines))
    print("\n".join(lines))


def _rows(watches: pa.Table, place: Path) -> list[str]:
    """MovieLens 1M, a hundredth of the rows as what came since."""
    place.mkdir(parents=True)
    is_new = np.zeros(len(watches), np.bool_)
    is_new[np.random.default_rng(0).choice(len(watches), len(watches) // 100, replace=False)] = True
    old, new = _parts(watches, is_new)
    pq.write_table(old, place / "old.parquet")
    trained = _measured("train", "--interactions", place / "old.parquet", "--artifacts", place / "run")
    before = belfry.Recommender.load(place / "run")
    of_known = pa.array(before.items.numbers(new[columns.ITEM_ID]) > 0)
    pq.write_table(new, place / "new.parquet")
    pq.write_table(new.filter(of_known), place / "known.parquet")
    lines = [
        "## MovieLens 1M, a hundredth of the events is new",
        "",
        f"Two id columns, default preset, {len(old):,} events and then {len(new):,}, drawn at random, for the watches",
        f"have no times. Lists of {N} of {N_ASKED:,} users without new events, before and after.",
        "",
        "| | CPU s | wall s | peak MiB | query vectors equal | lists equal | items in both |",
        "|---|---|---|---|---|---|---|",
        f"| `belfry train` on the old events | {trained.cells} | | | |",
    ]
    for name, table, options in (
        ("`belfry update`", "new", ()),
        ("`belfry update --keep-statistics` *", "known", ("--keep-statistics",)),
    ):
        copy = place / f"run-{table}"
        shutil.copytree(place / "run", copy)
        cost = _measured("update", copy, "--interactions", place / f"{table}.parquet", *options)
        lines.append(f"| {name} | {cost.cells} | {_what_stays(before, belfry.Recommender.load(copy), new)} |")
    n_known = int(of_known.to_numpy(zero_copy_only=False).sum())
    return [*lines, "", f"\\* {n_known:,} of the events: the others are of items that the run does not know."]


def _what_stays(before: belfry.Recommender, after: belfry.Recommender, new: pa.Table) -> str:
    """Cells of the table: of users without new events."""
    ids = before.users.ids
    others = ids.filter(pa.array(Vocabulary(new[columns.USER_ID]).numbers(ids) == 0))[:N_ASKED]
    queries = [one.two_stage.towers.encode_queries(one.users.numbers(others), one.features) for one in (before, after)]
    lists = [_lists(one, others, after.items) for one in (before, after)]
    is_vector_equal, is_list_equal = ((one == other).all(axis=1) for one, other in (queries, lists))
    n_both = np.array([len(np.intersect1d(one, other)) for one, other in zip(*lists, strict=True)])
    return f"{is_vector_equal.mean():.1%} | {is_list_equal.mean():.1%} | {n_both.mean() / N:.1%}"


def _by_time(folder: Path, place: Path) -> list[str]:
    """MovieLens 100K: a run of the oldest 80%, ten updates of 1% each, judged by the newest 10%."""
    tables = check(read_data("ml-100k", folder))[0]
    events = tables.interactions.sort_by(columns.TIMESTAMP_S)
    n_old, n_known = len(events) * 8 // 10, len(events) * 9 // 10
    old, between, test = events[:n_old], events[n_old:n_known], events[n_known:]
    options = {"items": tables.items, "users": tables.users}
    place.mkdir()
    stale = belfry.train(old, artifacts=place / "run", **options)
    between_events = [
        between[start : start + len(between) // N_STEPS] for start in range(0, len(between), len(between) // N_STEPS)
    ]
    timed = perf_counter()
    for step in between_events:
        update(place / "run", step)
    per_update_s = (perf_counter() - timed) / len(between_events)
    updated = belfry.Recommender.load(place / "run")
    anew = belfry.train(events[:n_known], artifacts=place / "anew", **options)
    users, items = Vocabulary(events[columns.USER_ID]), Vocabulary(events[columns.ITEM_ID])
    known = Interactions.from_table(events[:n_known], users=users, items=items).seen_items
    later = Interactions.from_table(test, users=users, items=items)
    wanted = later.select(~known.contains(later.user_num, later.item_num)).seen_items
    asked = np.flatnonzero(np.diff(wanted.starts)).astype(np.int32)
    has_old = np.isin(asked, users.numbers(old[columns.USER_ID]))
    has_new = np.isin(asked, users.numbers(between[columns.USER_ID])) & ~has_old
    lines = [
        "## MovieLens 100K, by time",
        "",
        f"A run of the oldest {n_old:,} events, {len(between_events)} updates of {len(between_events[0]):,} each, then "
        f"judged by the newest {len(test):,}: NDCG@{N}",
        f"of what users had not seen by then, on all {len(asked):,} of them, {has_old.sum():,} of whom have old events "
        f"and {has_new.sum():,} only newer ones.",
        f"One seed; {per_update_s:.1f} s by the clock for an update.",
        "",
        "| | all | with old events | with newer ones alone |",
        "|---|---|---|---|",
    ]
    for name, recommender in (
        ("the run as it was", stale),
        ("the same, `batch --history` of what came since", with_history(stale, between)),
        ("updated ten times", updated),
        ("trained anew on all that was known", anew),
    ):
        judged = _judged(recommender, users, items, asked, wanted)
        lines.append(f"| {name} | {_mean(judged)} | {_mean(judged[has_old])} | {_mean(judged[has_new])} |")
    return lines


def _judged(
    recommender: belfry.Recommender, users: Vocabulary, items: Vocabulary, asked: UserNums, wanted: SeenItems
) -> PerUser:
    """[n_asked] NDCG of the first lists that a run gives them."""
    lists = _lists(recommender, users.take(asked), items)
    return ndcg(hits(lists, asked, wanted), wanted.count(asked))


def _lists(recommender: belfry.Recommender, users: pa.Array, items: Vocabulary) -> ItemNums:
    """[n_users, N] numbers in `items`, 0 where a list is shorter."""
    table = recommender.recommend_many(users, N)
    place = Vocabulary(users).numbers(table[columns.USER_ID]) - 1
    lists = np.zeros((len(users), N), np.int32)
    lists[place, table[columns.RANK].to_numpy() - 1] = items.numbers(table[columns.ITEM_ID])
    return lists


def _mean(values: PerUser) -> str:
    error = values.std() / max(len(values), 1) ** 0.5 if len(values) else 0.0
    return f"{values.mean():.4f} ± {1.96 * error:.4f}" if len(values) else ""


def _parts(table: pa.Table, is_new: Mask) -> tuple[pa.Table, pa.Table]:
    plain = table.select(IDS).replace_schema_metadata(None)
    return plain.filter(pa.array(~is_new)), plain.filter(pa.array(is_new))


def _measured(*arguments: str | Path) -> Cost:
    """A verb in a process of its own."""
    command = [sys.executable, "-m", "belfry", *map(str, arguments), "--quiet"]
    started = perf_counter()
    _, status, used = os.wait4(os.spawnv(os.P_NOWAIT, sys.executable, command), 0)
    if status:
        raise RuntimeError(f"{' '.join(command)}: ended with {status}")
    return Cost(used.ru_utime + used.ru_stime, perf_counter() - started, used.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
