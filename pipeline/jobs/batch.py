"""The recommendation table of many users: made in parts that a stopped job goes on from, seen whole or not at all.

OUT/
├── recommendations.parquet   the table, one row group for each part
├── _left_out.json            who is not in it, and why
├── .lock                     held by the job that is at work here
└── .parts-3f9a0c12be77/      what a job has done so far; gone when the table is there

A reader of the folder takes no notice of names that begin with a dot or an underscore.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import BelfryError, InputError
from belfry.dataset.history import Repeats
from belfry.dataset.vocabulary import Id
from belfry.pipeline.jobs.batch_parts import BatchJob, Part, make_parts, read_parts, users_without_row
from belfry.pipeline.jobs.batch_users import unique_users
from belfry.pipeline.jobs.sinks import ParquetSink, Sink, writing
from belfry.pipeline.runs.disk import check_writable, explain_failed_writes, remove, sync
from belfry.pipeline.runs.lock import Lock, hold
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage
from belfry.pipeline.serving.workers import in_order, workers_within_memory

TABLE = "recommendations.parquet"
LEFT_OUT = "_left_out.json"

_LOCK = ".lock"
_PARTS = ".parts-"
_SEEN_ALL = "has seen the whole catalogue"
_NOTHING_FOUND = "retrieval brought no item that the user has not seen"
_NOTHING_SEEN = "has no history, so nothing to repeat"
_NOTHING_ELSE = "retrieval brought no item that the list may hold"


@dataclass(frozen=True)
class LeftOutUser:
    """A user without a row."""

    user_id: Id
    reason: str


@dataclass(frozen=True)
class BatchResult:
    """What a job has written."""

    path: Path  # the table
    n_users: int  # asked for, each once
    n_rows: int
    n_repeated: int  # asked for once more, and answered once
    left_out: tuple[LeftOutUser, ...]
    resumed: bool  # whether an earlier job, which was stopped, has done some of it
    seconds: float

    def lines(self) -> list[str]:
        """For a terminal."""
        done = f"{self.n_rows:,} rows for {self.n_users:,} users in {self.seconds:.1f} s"
        reasons = Counter(left.reason for left in self.left_out)
        return [
            f"table  {self.path}",
            f"{done}, resumed" if self.resumed else done,
            *(f"left out (see {LEFT_OUT}): {count:,}, reason: {reason}" for reason, count in reasons.items()),
            *([f"asked for more than once: {self.n_repeated:,} rows"] if self.n_repeated else []),
        ]


def write_batch(
    recommender: Recommender,
    out: Path,
    *,
    users: pa.Array | None = None,
    n: int,
    stage: Stage = "final",
    repeats: Repeats | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BatchResult:
    """Write `out/recommendations.parquet`: at most `n` items for each user, users in the order asked.

    Every promise about lists is checked on what was written, before it takes the place of an earlier table. A job
    that was stopped goes on where it was when called again with the same arguments, to the same table.

    Args:
        out: a folder of its own; made where it is missing.
        users: ids of the run's type; an unknown one gets the cold answer. None: all users that the run knows.
        repeats: whether lists may hold what a user has seen; by default what the run was trained for.
        workers: threads that score, by default one for each core.
        progress: told how many users are done, of how many.

    Raises:
        InputError: the call is wrong, `out` cannot be written or holds other files, or another job is at work there.
        BelfryError: the disk is full, `out` was moved or its lock removed meanwhile, or a promise is broken; an earlier
            table is still there.
    """
    started = time.perf_counter()
    n_workers = workers_within_memory(workers)
    asked, n_repeated = unique_users(users, recommender)
    repeats = recommender.repeats_of(repeats=repeats)
    schema = recommender.recommend_many(asked[:0], n, stage=stage).schema  # refuses a wrong `n` or `stage`
    job = BatchJob(recommender, asked, int(n), stage, repeats, schema)
    check_writable(out)
    _check_holds_nothing_else(out)
    out.mkdir(exist_ok=True)
    with hold(out / _LOCK) as lock:
        folder = out / f"{_PARTS}{job.key}"
        try:
            with explain_failed_writes(out):
                absent, resumed = make_parts(job, folder, n_workers, progress)
                left_out = _with_reasons(absent, recommender, repeats)
                n_rows = _publish(job, folder, out, left_out, n_repeated, n_workers, lock)
        except (OSError, BelfryError):
            remove(folder)  # nothing that another try should go on from; and a full disk gets its room back
            raise
        for leftover in out.glob(f"{_PARTS}*"):
            remove(leftover)
    seconds = time.perf_counter() - started
    return BatchResult(out / TABLE, len(asked), n_rows, n_repeated, tuple(left_out), resumed, seconds)


def _check_holds_nothing_else(out: Path) -> None:
    """A folder with other tables would be read together with ours, one with a run would not open any more."""
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    others = [name for name in names if not name.startswith((".", "_")) and name != TABLE]
    if others:
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise InputError(f"{out}: holds other files ({shown}); name a new folder, or one with an earlier table only")
    for name in (TABLE, LEFT_OUT):
        if (out / name).is_dir():
            raise InputError(f"{out / name}: is a folder where a file is to be written; remove it, or name another OUT")


def _with_reasons(absent: pa.Array, recommender: Recommender, repeats: Repeats) -> list[LeftOutUser]:
    history, numbers = recommender.features.history, recommender.users.numbers(absent)
    if repeats == "exclude":
        n_left_out = history.seen_or_disliked.count(numbers)
        reasons = np.where(n_left_out == len(recommender.items), _SEEN_ALL, _NOTHING_FOUND)
    else:
        n_seen = history.seen_items.count(numbers)
        reasons = np.where((n_seen == 0) & (repeats == "only"), _NOTHING_SEEN, _NOTHING_ELSE)
    return [LeftOutUser(user_id, str(reason)) for user_id, reason in zip(absent.to_pylist(), reasons, strict=True)]


def _publish(
    job: BatchJob, folder: Path, out: Path, left_out: list[LeftOutUser], n_repeated: int, workers: int, lock: Lock
) -> int:
    """Put the parts together, check what was written, move it into place; returns the number of rows."""
    about = {"run": job.recommender.run.name, "stage": job.stage, "repeats": job.repeats, "n": job.n}
    about |= {"n_left_out": len(left_out)}
    document = about | {"n_users": len(job.asked), "n_repeated": n_repeated, "left_out": [*map(asdict, left_out)]}
    listing = folder / LEFT_OUT
    remove(listing)
    with explain_failed_writes(listing):
        listing.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        sync(listing)
    schema = job.schema.with_metadata({f"belfry.{key}": str(value) for key, value in about.items()})
    with writing(ParquetSink(out / TABLE, aside=folder / TABLE), schema) as sink:
        for rows in read_parts(job, folder):
            sink.write(rows)
        sink.close()
        n_rows = _check_written(job, sink, listing, workers)
        lock.check()
        listing.replace(out / LEFT_OUT)
    return n_rows


def _check_written(job: BatchJob, sink: Sink, listing: Path, workers: int) -> int:
    """Read the table and the list of those left out, and check every promise; returns the number of rows."""
    listed = {entry[columns.USER_ID] for entry in json.loads(listing.read_text(encoding="utf-8"))["left_out"]}

    def check(read: tuple[Part | None, pa.Table | None]) -> tuple[int, int]:
        part, rows = read
        if part is None or rows is None:
            raise BelfryError("it has more or fewer blocks than parts were made")
        job.check_rows(rows, part.users)
        absent = users_without_row(rows, part.users)
        if not listed.issuperset(absent.to_pylist()):
            raise BelfryError("a user is neither in the table nor listed as left out")
        return len(rows), len(absent)

    n_rows = n_absent = 0
    try:
        with closing(in_order(check, zip_longest(job.parts, sink.blocks()), workers)) as checked:
            for n_rows_in_part, n_absent_in_part in checked:
                n_rows += n_rows_in_part
                n_absent += n_absent_in_part
        if n_absent != len(listed):
            raise BelfryError("a user is listed as left out and is in the table")
    except (pa.ArrowException, BelfryError) as error:
        raise BelfryError(f"{TABLE} is not published, an earlier one stays: {error}") from error
    return n_rows
