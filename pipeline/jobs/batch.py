"""The recommendation table of many users: made in parts that a stopped job goes on from, seen whole or not at all.

OUT/
├── recommendations.parquet   the table, one row group for each part; or .csv, or .jsonl
├── _left_out.json            who is not in it, and why
├── .lock                     held by the job that is at work here
└── .parts-3f9a0c12be77/      what a job has done so far; gone when the table is there

A reader of the folder takes no notice of names that begin with a dot or an underscore. A table that goes elsewhere
(see `sinks/destination.py`) has its lock and its parts in the cache of this machine.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import BelfryError, InputError
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.vocabulary import as_numpy
from belfry.pipeline.cluster import ClusterError, joined
from belfry.pipeline.jobs.batch_parts import (
    AnswerAll,
    BatchJob,
    Part,
    answer_users,
    begun,
    make_parts,
    read_parts,
    users_without_row,
)
from belfry.pipeline.jobs.batch_users import unique_users
from belfry.pipeline.jobs.sinks.base import LeftOut, LeftOutUser, Sink, SinkError, writing
from belfry.pipeline.jobs.sinks.destination import Format, sink_of, takes_lists, work_folder
from belfry.pipeline.runs.disk import explain_failed_writes, make_writable, remove
from belfry.pipeline.runs.lock import Lock, hold
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage
from belfry.pipeline.serving.workers import answer_blocks, in_order, workers_within_memory

if TYPE_CHECKING:
    from belfry.pipeline.serving.rules.config import RulesLike

Engine: TypeAlias = Literal["threads", "ray"]

_LOCK = ".lock"
_PARTS = ".parts-"
_SEEN_ALL = "has seen the whole catalogue"
_NOTHING_FOUND = "retrieval brought no item that the user has not seen"
_NOTHING_SEEN = "has no history, so nothing to repeat"
_NOTHING_ELSE = "retrieval brought no item that the list may hold"
_NOTHING_ALLOWED = "no item that the rules allow is left"


@dataclass(frozen=True)
class BatchResult:
    """What a job has written."""

    place: str  # of the table
    listing: str  # of those left out
    n_users: int  # asked for, each once
    n_rows: int
    n_repeated: int  # asked for once more, and answered once
    left_out: tuple[LeftOutUser, ...]
    resumed: bool  # whether an earlier job, which was stopped, has done some of it
    seconds: float
    n_short: int = 0  # users with fewer items than asked for, under rules
    why_short: str = ""

    @property
    def path(self) -> Path:
        """The table, where it is a file of this machine."""
        return Path(self.place)

    def lines(self) -> list[str]:
        """For a terminal."""
        done = f"{self.n_rows:,} rows for {self.n_users:,} users in {self.seconds:.1f} s"
        reasons = Counter(left.reason for left in self.left_out)
        return [
            f"table  {self.place}",
            f"{done}, resumed" if self.resumed else done,
            *(f"left out (see {self.listing}): {count:,}, reason: {reason}" for reason, count in reasons.items()),
            *([f"shorter lists: {self.n_short:,}, for {self.why_short}"] if self.n_short else []),
            *([f"asked for more than once: {self.n_repeated:,} rows"] if self.n_repeated else []),
        ]


def write_batch(
    recommender: Recommender,
    out: str | Path,
    *,
    users: pa.Array | pa.Table | None = None,
    n: int,
    stage: Stage = "final",
    context: Mapping[str, object] | None = None,
    repeats: Repeats | None = None,
    rules: "RulesLike | None" = None,
    where: str | None = None,
    explain: bool = False,
    format: Format = "parquet",  # noqa: A002
    workers: int | None = None,
    engine: Engine = "threads",
    address: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BatchResult:
    """Write a table, such as `out/recommendations.parquet`: at most `n` items for each user, users in the order asked.

    Every promise about lists is checked on what was written, before it takes the place of an earlier table. A job
    that was stopped goes on where it was when called again with the same arguments, to the same table.

    Args:
        out: a folder of its own, made where it is missing; or, as text, a destination that `sink_of` reads.
        users: ids of the run's type; an unknown one gets the cold answer. A table, as `recommend_many` takes it, also
            tells the features of those. None: all users that the run knows.
        context: as in `Recommender.recommend_many`; columns of the table of users come before it.
        repeats: whether lists may hold what a user has seen; by default what the run was trained for.
        rules, where: as in `Recommender.recommend`. Where they ask for the time, all lists speak of when the job began.
        explain: adds columns of reasons, as in `Recommender.recommend_many`.
        format: of the file in a folder.
        workers: threads that score, by default one for each core; or tasks of a cluster.
        engine: "threads" of this process, or "ray": the cluster at `address` (`HOST:PORT`, or "auto"), or one on this
            machine. Each of its machines reads the run folder under the same path; docs/cluster.md.
        progress: told how many users are done, of how many.

    Raises:
        InputError: the call is wrong, `out` cannot be written or holds other files, or another job is at work there.
        SinkError, ClusterError: a destination or the cluster went away; the same call goes on when it is back.
        BelfryError: the disk is full, `out` was moved or its lock removed meanwhile, or a promise is broken; an earlier
            table is still there.
    """
    started = time.perf_counter()
    n_workers = workers_within_memory(workers if engine == "threads" else None)
    asked, n_repeated = unique_users(users, recommender, context)
    repeats = recommender.repeats_of(repeats=repeats)
    bound = recommender.bound(rules, where)
    # Refuses a wrong `n` or `stage`.
    asked_rules = bound.rules if bound else None
    schema = recommender.recommend_many(asked[:0], n, stage=stage, explain=explain, rules=asked_rules).schema
    job = BatchJob(recommender, asked, int(n), stage, repeats, schema, asked_rules, explain)
    work = work_folder(out)
    folder = work / f"{_PARTS}{job.key}"
    if explain and not takes_lists(out):
        kind = str(out).partition(":")[0]
        raise InputError(f"{kind}: reasons are lists, which go to folders, object storage and Delta tables alone")
    sink = sink_of(out, folder, format)
    sink.check()
    make_writable(work, remedy="mend that, or let BELFRY_CACHE name another place")
    with hold(work / _LOCK) as lock, _answering(recommender, engine, address, workers, n_workers) as answer_all:
        try:
            with explain_failed_writes(work):
                job = begun(job, folder)
                absent, resumed = make_parts(job, folder, answer_all, progress)
                left_out = _with_reasons(absent, job)
                n_rows, n_short = _publish(job, folder, sink, left_out, n_repeated, n_workers, lock)
        except (SinkError, ClusterError):
            raise  # another try goes on from the parts
        except (OSError, BelfryError):
            remove(folder)  # nothing that another try should go on from; and a full disk gets its room back
            raise
        for leftover in work.glob(f"{_PARTS}*"):
            remove(leftover)
    seconds = time.perf_counter() - started
    why_short = job.bound.why_fewer() if job.bound and n_short else ""
    told = (n_rows, n_repeated, tuple(left_out), resumed, seconds, n_short, why_short)
    return BatchResult(sink.place, sink.listing, len(asked), *told)


@contextmanager
def _answering(
    recommender: Recommender, engine: Engine, address: str | None, workers: int | None, n_threads: int
) -> Iterator[AnswerAll]:
    """What answers blocks of users: `n_threads` of this process, or `workers` tasks of a cluster."""
    if engine not in get_args(Engine):
        raise InputError(f"engine={engine!r}: wanted one of {', '.join(get_args(Engine))}")
    if engine == "threads":
        if address is not None:
            raise InputError("--address: only --engine ray works on a cluster")
        yield lambda job, blocks: answer_blocks(job.answer, blocks, n_threads)
        return
    if recommender.parts.folded:
        raise InputError("--engine ray: other machines read the run alone; update it instead of --history")
    with joined(address, workers) as cluster:
        yield lambda job, blocks: cluster.in_order(answer_users, job.without_users, job.key, blocks)


def _with_reasons(absent: pa.Array, job: BatchJob) -> list[LeftOutUser]:
    recommender, repeats = job.recommender, job.repeats
    history, numbers = recommender.features.history, recommender.users.numbers(absent)
    if job.rules is not None:
        reasons = np.full(len(absent), _NOTHING_ALLOWED)
    elif repeats == "exclude":
        n_left_out = history.seen_or_disliked.count(numbers)
        reasons = np.where(n_left_out == len(recommender.items), _SEEN_ALL, _NOTHING_FOUND)
    else:
        n_seen = history.seen_items.count(numbers)
        reasons = np.where((n_seen == 0) & (repeats == "only"), _NOTHING_SEEN, _NOTHING_ELSE)
    return [LeftOutUser(user_id, str(reason)) for user_id, reason in zip(absent.to_pylist(), reasons, strict=True)]


def _publish(
    job: BatchJob, folder: Path, sink: Sink, left_out: list[LeftOutUser], n_repeated: int, workers: int, lock: Lock
) -> tuple[int, int]:
    """Put the parts together, check what was written, show it; returns the numbers of rows and of short lists."""
    about: dict[str, str | int] = {"run": job.recommender.run.name, "stage": job.stage}
    about |= {"repeats": job.repeats, "n": job.n, "n_left_out": len(left_out)}
    about |= {"rules": job.rules.key} if job.rules else {}
    schema = job.schema.with_metadata({f"belfry.{key}": str(value) for key, value in about.items()})
    with writing(sink, schema):
        for rows in read_parts(job, folder):
            sink.write(rows)
        sink.leave_out(LeftOut(about | {"n_users": len(job.asked), "n_repeated": n_repeated}, tuple(left_out)))
        sink.close()
        found = _check_written(job, sink, workers)
        lock.check()
    return found


def _check_written(job: BatchJob, sink: Sink, workers: int) -> tuple[int, int]:
    """Read the table and the list of those left out, and check every promise; returns as `_publish`."""
    listed = sink.left_out()

    def check(read: tuple[Part | None, pa.Table | None]) -> tuple[int, int, int]:
        part, rows = read
        if part is None or rows is None:
            raise BelfryError("it has more or fewer blocks than parts were made")
        job.check_rows(rows, part.users)
        absent = users_without_row(rows, part.users)
        if not listed.issuperset(absent.to_pylist()):
            raise BelfryError("a user is neither in the table nor listed as left out")
        n_listed = int((as_numpy(rows[columns.RANK]) == job.n).sum()) if job.rules else len(part.users)
        return len(rows), len(absent), max(0, len(part.users) - len(absent) - n_listed)

    n_rows = n_absent = n_short = 0
    try:
        with closing(in_order(check, zip_longest(job.parts, sink.blocks()), workers)) as checked:
            for n_rows_in_part, n_absent_in_part, n_short_in_part in checked:
                n_rows += n_rows_in_part
                n_absent += n_absent_in_part
                n_short += n_short_in_part
        if n_absent != len(listed):
            raise BelfryError("a user is listed as left out and is in the table")
    except SinkError:
        raise
    except (pa.ArrowException, BelfryError) as error:
        raise BelfryError(f"{sink.place} is not published, an earlier one stays: {error}") from error
    return n_rows, n_short
