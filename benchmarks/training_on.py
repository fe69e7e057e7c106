"""A further day's watches: training on from the run of the day before, beside training from nothing.

Run as `python -m benchmarks.training_on [--data-folder DIR] [--steps N] [--runs DIR]`; the data folder holds
ml-100k.zip. Writes docs/results/training-on.md; each day costs a training from nothing. Under `--runs` runs are kept,
and those that are there already, with what they cost, are not trained again.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import belfry
from belfry.dataset import columns
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.open import read_data
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.metrics import hits, ndcg
from belfry.pipeline.runs.versions import installed_versions

RESULT = Path(__file__).parent.parent / "docs" / "results" / "training-on.md"
N, N_STEPS, DAY_S, TRAIN_SHARE = 10, 10, 86_400, 0.8
N_DRAWS = 10_000  # of users, for an interval


@dataclass(frozen=True)
class Step:
    """A day's end, and the mean NDCG@10 of each user by both runs."""

    n_events: int
    n_new: int
    cpu_s: tuple[float, float]  # from nothing, from the run of the day before
    users: npt.NDArray[np.int32]
    worths: npt.NDArray[np.float64]  # [n_users, 2]

    @property
    def difference(self) -> npt.NDArray[np.float64]:
        """[n_users] what going on gains."""
        return self.worths[:, 1] - self.worths[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--steps", type=int, default=N_STEPS, help="days, the last ones of the training part")
    parser.add_argument("--runs", type=Path, help="where runs are kept [nowhere]")
    arguments = parser.parse_args()
    tables = check(read_data("ml-100k", arguments.data_folder or Path(os.environ["BELFRY_DATA"])))[0]
    with TemporaryDirectory() as place:
        steps, first_cpu_s = _steps(tables, arguments.runs or Path(place), arguments.steps)
    text = "\n".join(_page(steps, first_cpu_s))
    RESULT.write_text(text)
    print(text)


def _steps(tables: Tables, runs: Path, n_steps: int) -> tuple[list[Step], float]:
    """All days, and what the run cost that the first of them goes on from."""
    runs.mkdir(parents=True, exist_ok=True)
    events = tables.interactions.sort_by(columns.TIMESTAMP_S)
    times = events[columns.TIMESTAMP_S].to_numpy()
    end_s = times[int(TRAIN_SHARE * len(times))]
    ends = [int(np.searchsorted(times, end_s - day * DAY_S)) for day in range(n_steps, -1, -1)]
    pq.write_table(tables.items, runs / "items.parquet")
    pq.write_table(tables.users, runs / "users.parquet")
    before = runs / f"anew-{ends[0]}"
    first_cpu_s = _train(events[: ends[0]], before)
    steps = []
    for n_before, n_events in pairwise(ends):
        anew, onward = runs / f"anew-{n_events}", runs / f"onward-{ends[0]}-{n_events}"
        cpu_s = _train(events[:n_events], anew), _train(events[:n_events], onward, "--from", str(before))
        steps.append(_judged(events, n_events, n_events - n_before, cpu_s, (anew, onward)))
        before = onward
        print(f"{n_events}: {steps[-1].worths.mean(axis=0)} {cpu_s}", file=sys.stderr)
    return steps, first_cpu_s


def _train(events: pa.Table, run: Path, *options: str) -> float:
    """CPU seconds of `belfry train`, a process from its start to its end."""
    noted = run / "cpu_s.json"
    if not noted.exists():
        pq.write_table(events, run.parent / "events.parquet")
        given = {name: run.parent / f"{name}.parquet" for name in ("items", "users")}
        tables = [text for name, path in given.items() for text in (f"--{name}", str(path))]
        command = [sys.executable, "-m", "belfry", "train", "--interactions", str(run.parent / "events.parquet")]
        command += [*tables, "--artifacts", str(run), "--quiet", *options]
        _, status, used = os.wait4(os.spawnv(os.P_NOWAIT, sys.executable, command), 0)
        if status:
            raise RuntimeError(f"{' '.join(command)}: ended with {status}")
        noted.write_text(json.dumps(used.ru_utime + used.ru_stime))
    return float(json.loads(noted.read_text()))


def _judged(events: pa.Table, n_known: int, n_new: int, cpu_s: tuple[float, float], runs: tuple[Path, Path]) -> Step:
    """Lists of all users with a history, judged by what they watched from then on."""
    users, items = Vocabulary(events[columns.USER_ID]), Vocabulary(events[columns.ITEM_ID])
    known = Interactions.from_table(events[:n_known], users=users, items=items).seen_items
    later = Interactions.from_table(events[n_known:], users=users, items=items)
    wanted = later.select(known.count(later.user_num) > 0).seen_items
    asked = np.flatnonzero(np.diff(wanted.starts)).astype(np.int32)
    worths = [ndcg(hits(_lists(run, users.take(asked), items), asked, wanted), wanted.count(asked)) for run in runs]
    return Step(n_known, n_new, cpu_s, asked, np.stack(worths, axis=1))


def _lists(run: Path, users: pa.Array, items: Vocabulary) -> npt.NDArray[np.int32]:
    """[n_users, N] numbers in `items`, 0 where a list is shorter."""
    table = belfry.Recommender.load(run).recommend_many(users, N)
    place = pc.index_in(table[columns.USER_ID], value_set=users).to_numpy()
    lists = np.zeros((len(users), N), np.int32)
    lists[place, table[columns.RANK].to_numpy() - 1] = items.numbers(table[columns.ITEM_ID])
    return lists


def _interval(steps: list[Step]) -> tuple[float, float, float]:
    """Mean over steps of the mean difference, with its 95% interval over users, whose steps are drawn together."""
    users = np.unique(np.concatenate([step.users for step in steps]))
    table = np.full((len(steps), len(users)), np.nan)
    for row, step in zip(table, steps, strict=True):
        row[np.searchsorted(users, step.users)] = step.difference
    generator, draws = np.random.default_rng(0), np.empty(N_DRAWS)
    for place in range(N_DRAWS):
        draws[place] = np.nanmean(table[:, generator.integers(len(users), size=len(users))], axis=1).mean()
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(np.nanmean(table, axis=1).mean()), float(low), float(high)


def _page(steps: list[Step], first_cpu_s: float) -> list[str]:
    versions = installed_versions()
    mean, low, high = _interval(steps)
    anew, onward = np.array([step.cpu_s for step in steps]).mean(axis=0)
    rows = [
        f"| {step.n_events:,} | {step.n_new:,} | {len(step.users)} | {step.worths[:, 0].mean():.4f} | "
        f"{step.worths[:, 1].mean():.4f} | {step.difference.mean():+.4f} | {step.cpu_s[0]:.1f} | "
        f"{step.cpu_s[1]:.1f} |"
        for step in steps
    ]
    return [
        "# Training on",
        "",
        f"Written by `python -m benchmarks.training_on --steps {len(steps)}` on {datetime.now(UTC):%Y-%m-%d}, "
        f"{os.cpu_count()} cores, belfry",
        f"{versions['belfry-recommender']}, tensorflow {versions['tensorflow']}. MovieLens 100K with its tables of "
        "items and users, default preset,",
        f"seed 0; the last {len(steps)} days of the oldest {TRAIN_SHARE:.0%} of the events. Each day is trained from",
        "nothing, and from the run that training on gave the day before; the first goes on from a training from",
        "nothing. NDCG@10 is of all users with a history, by everything that they watched from that day on. CPU is",
        "that of `belfry train` as a process, from its start to its end, libraries, export and the check of the new",
        "run included.",
        "",
        "| events | new | users | NDCG@10 from nothing | going on | difference | CPU s from nothing | going on |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Mean difference {mean:+.4f}, 95% interval {low:+.4f} to {high:+.4f} (users drawn with all their days). "
        f"Mean CPU {anew:.1f} s from",
        f"nothing, {onward:.1f} s going on: {onward / anew:.0%}. The run that the first day went on from cost "
        f"{first_cpu_s:.1f} s.",
        "",
    ]


if __name__ == "__main__":
    main()
