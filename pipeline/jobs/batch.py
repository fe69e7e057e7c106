"""The recommendation table of many users: made in parts that a stopped job goes on from, seen whole or not at all.

OUT/
├── recommendations.parquet   the table, one row group for each part
├── _left_out.json            who is not in it, and why
├── .lock                     held by the job that is at work here
└── .parts-3f9a0c12be77/      what a job has done so far; gone when the table is there

A reader of the folder takes no notice of names that begin with a dot or an underscore.
"""

import hashlib
import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import BelfryError, InputError, TableError
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.validation import coercion
from belfry.dataset.vocabulary import Id, as_id_type
from belfry.pipeline.runs.disk import check_writable, explain_full_disk, sync
from belfry.pipeline.runs.lock import hold
from belfry.pipeline.serving.checks import check_lists
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage

TABLE = "recommendations.parquet"
LEFT_OUT = "_left_out.json"
USERS_PER_PART = 1_000
ROWS_PER_PART = 1_000_000  # longer lists make smaller parts, so that memory stays bounded

_LOCK = ".lock"
_PARTS = ".parts-"
_FORMAT = 1  # of the parts: raise it when their meaning changes
_N_ABSENT = b"belfry.n_left_out"

_SEEN_ALL = "has seen the whole catalogue"
_NOTHING_FOUND = "retrieval brought no item that the user has not seen"

log = logging.getLogger(__name__)


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


def read_users(path: Path, recommender: Recommender) -> pa.Array:
    """The ids in the column `user_id` of a table, as ids of the recommender's run.

    The ids of a CSV file are read as text where the run's are text.

    Raises:
        TableError: there is no such column, or ids in it are null or empty, or neither text nor integers.
    """
    table = read_tables(path, users=pa.table({columns.USER_ID: recommender.users.ids})).interactions
    count = table.column_names.count(columns.USER_ID)
    if count != 1:
        there = ", ".join(map(repr, table.column_names))
        raise TableError(f"{path}: has {count} columns {columns.USER_ID!r}, one is needed; there are {there}")
    try:
        return coercion.as_ids(table[columns.USER_ID]).combine_chunks()
    except TableError as error:
        raise TableError(f"{path}: column {columns.USER_ID!r} {error}") from error


def write_batch(
    recommender: Recommender,
    out: Path,
    *,
    users: pa.Array | None = None,
    n: int,
    stage: Stage = "final",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BatchResult:
    """Write `out/recommendations.parquet`: at most `n` items for each user, users in the order asked.

    Every promise about lists is checked on what was written, before it takes the place of an earlier table. A job
    that was stopped goes on where it was when called again with the same arguments, to the same table.

    Args:
        out: a folder of its own; made where it is missing.
        users: ids of the run's type; an unknown one gets the cold answer. None: all users that the run knows.
        progress: told how many users are done, of how many.

    Raises:
        InputError: the call is wrong, `out` cannot be written or holds other files, or another job is at work there.
        BelfryError: the disk is full, or a promise is broken; an earlier table is still there.
    """
    started = time.perf_counter()
    asked, n_repeated = _asked_ids(users, recommender)
    schema = recommender.recommend_many(asked[:0], n, stage=stage).schema  # refuses a wrong `n` or `stage`
    check_writable(out)
    _check_holds_nothing_else(out)
    out.mkdir(exist_ok=True)
    with hold(out / _LOCK), explain_full_disk(out):
        job = _Job(recommender, asked, int(n), stage, schema, out / f"{_PARTS}{_key(recommender, asked, n, stage)}")
        try:
            left_out, resumed = _make_parts(job, progress)
            n_rows = _publish(job, out, left_out, n_repeated)
        except (OSError, BelfryError):
            _remove(job.folder)  # nothing that another try should go on from; and a full disk gets its room back
            raise
        for folder in out.glob(f"{_PARTS}*"):
            _remove(folder)
    seconds = time.perf_counter() - started
    return BatchResult(out / TABLE, len(asked), n_rows, n_repeated, tuple(left_out), resumed, seconds)


@dataclass(frozen=True)
class _Job:
    recommender: Recommender
    asked: pa.Array  # ids, each once
    n: int
    stage: Stage
    schema: pa.Schema
    folder: Path  # of the parts

    def parts(self) -> Iterator[tuple[Path, pa.Array]]:
        """The file of each part, and the users in it."""
        longest = min(self.n, len(self.recommender.items))
        size = min(USERS_PER_PART, max(1, ROWS_PER_PART // longest))
        for number, start in enumerate(range(0, len(self.asked), size)):
            yield self.folder / f"part-{number:05d}.parquet", self.asked[start : start + size]


def _asked_ids(users: pa.Array | None, recommender: Recommender) -> tuple[pa.Array, int]:
    """The ids to answer, each once, in the order of their first row; how many rows repeat an earlier one."""
    if users is None:
        return recommender.users.ids, 0
    if not len(users):
        raise InputError("users: there are none; pass at least one id, or none at all for every user of the run")
    if users.null_count:
        first = int(np.argmax(users.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(f"users: {users.null_count:,} ids are null or empty (first in row {first}); drop those rows")
    ids, wanted = as_id_type(users), recommender.users.ids.type
    if ids.type != wanted:
        raise InputError(
            f"users: the ids are {ids.type}, those of run {recommender.run.name} are {wanted}; 1 and '1' are never "
            "merged: cast them, or pass the ids that the run was trained on"
        )
    unique = pc.unique(ids)
    return unique, len(ids) - len(unique)


def _check_holds_nothing_else(out: Path) -> None:
    """A folder with other tables would be read together with ours, one with a run would not open any more."""
    names = sorted(path.name for path in out.iterdir()) if out.exists() else []
    others = [name for name in names if not name.startswith((".", "_")) and name != TABLE]
    if others:
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise InputError(f"{out}: holds other files ({shown}); name a new folder, or one with an earlier table only")
    for name in (TABLE, LEFT_OUT):
        if (out / name).is_dir():
            raise InputError(f"{out / name}: is a folder where a file is to be written; remove it, or name another OUT")


def _key(recommender: Recommender, asked: pa.Array, n: int, stage: Stage) -> str:
    """Equal only for jobs whose parts are equal."""
    about = (_FORMAT, recommender.run.name, stage, int(n), USERS_PER_PART, ROWS_PER_PART, str(asked.type))
    digest = hashlib.sha256(json.dumps(about).encode())
    for start in range(0, len(asked), USERS_PER_PART):
        digest.update(json.dumps(asked[start : start + USERS_PER_PART].to_pylist()).encode())
    return digest.hexdigest()[:12]


def _make_parts(job: _Job, progress: Callable[[int, int], None]) -> tuple[list[LeftOutUser], bool]:
    """Have every part on the disk; gives who is in none of them, and whether some were there already."""
    if job.folder.is_symlink() or not job.folder.is_dir():
        _remove(job.folder)
        job.folder.mkdir()
    left_out: list[LeftOutUser] = []
    resumed, n_done = False, 0
    for path, asked in job.parts():
        rows = _read_whole_part(job, path, asked)
        resumed |= rows is not None
        if rows is None:
            rows = job.recommender.recommend_many(asked, job.n, stage=job.stage)
            _write_part(rows, asked, path)
        left_out += _with_reasons(_absent(rows, asked), job.recommender)
        n_done += len(asked)
        progress(n_done, len(job.asked))
    return left_out, resumed


def _write_part(rows: pa.Table, asked: pa.Array, path: Path) -> None:
    aside = path.with_suffix(".writing")
    for leftover in (aside, path):
        _remove(leftover)
    n_absent = str(len(_absent(rows, asked)))
    pq.write_table(rows.replace_schema_metadata({_N_ABSENT: n_absent}), aside)
    sync(aside)
    aside.rename(path)


def _read_whole_part(job: _Job, path: Path, asked: pa.Array) -> pa.Table | None:
    """A part that an earlier job has made; None where it is not there, damaged, or not what was asked for."""
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            rows = file.read()
        rows.validate(full=True)
        _check_rows(job, rows, asked)
    except (pa.ArrowException, OSError, BelfryError) as error:
        log.warning("%s is made again: %s", path, error)
        return None
    n_absent = (rows.schema.metadata or {}).get(_N_ABSENT)
    return rows if n_absent == str(len(_absent(rows, asked))).encode() else None


def _publish(job: _Job, out: Path, left_out: list[LeftOutUser], n_repeated: int) -> int:
    """Put the parts together, check what was written, move it into place; gives the number of rows."""
    about = {"run": job.recommender.run.name, "stage": job.stage, "n": job.n, "n_left_out": len(left_out)}
    table, listing = job.folder / TABLE, job.folder / LEFT_OUT
    for leftover in (table, listing):
        _remove(leftover)
    schema = job.schema.with_metadata({f"belfry.{key}": str(value) for key, value in about.items()})
    with pq.ParquetWriter(table, schema) as writer:
        for path, _ in job.parts():
            with pq.ParquetFile(path) as part:
                rows = part.read()
            writer.write_table(rows, row_group_size=max(1, len(rows)))
    document = about | {"n_users": len(job.asked), "n_repeated": n_repeated, "left_out": [*map(asdict, left_out)]}
    listing.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in (table, listing):
        sync(path)
    n_rows = _check_written(job, table, listing)
    listing.replace(out / LEFT_OUT)
    table.replace(out / TABLE)
    sync(out)
    return n_rows


def _check_written(job: _Job, table: Path, listing: Path) -> int:
    """Read the table and the list of those left out, and check every promise; gives the number of rows."""
    listed = {entry[columns.USER_ID] for entry in json.loads(listing.read_text(encoding="utf-8"))["left_out"]}
    parts = list(job.parts())
    n_absent = 0
    try:
        with pq.ParquetFile(table) as file:
            if file.num_row_groups != len(parts):
                raise BelfryError(f"there are {file.num_row_groups} row groups for {len(parts)} parts")
            for number, (_, asked) in enumerate(parts):
                rows = file.read_row_group(number)
                _check_rows(job, rows, asked)
                absent = _absent(rows, asked)
                if not listed.issuperset(absent.to_pylist()):
                    raise BelfryError("a user is neither in the table nor listed as left out")
                n_absent += len(absent)
            if n_absent != len(listed):
                raise BelfryError("a user is listed as left out and is in the table")
            n_rows: int = file.metadata.num_rows
    except (pa.ArrowException, BelfryError) as error:
        raise BelfryError(f"{table.name} is not published, an earlier one stays: {error}") from error
    return n_rows


def _check_rows(job: _Job, rows: pa.Table, asked: pa.Array) -> None:
    """What design promises of the lists of `asked`, in rows that were read from a file.

    Raises:
        BelfryError: a promise is broken.
    """
    if not rows.schema.equals(job.schema):
        raise BelfryError(f"the columns are {rows.schema.to_string()} instead of {job.schema.to_string()}")
    row_user = pc.fill_null(pc.index_in(rows[columns.USER_ID], value_set=asked), -1).to_numpy()
    if (row_user < 0).any() or (np.diff(row_user) < 0).any():
        raise BelfryError("there are users that nobody asked for, or not in the order asked")
    recommender = job.recommender
    lists = Candidates(
        users=recommender.users.numbers(asked),
        row_user=row_user.astype(np.int64),
        item_num=recommender.items.numbers(rows[columns.ITEM_ID]),
        score=rows[columns.SCORE].to_numpy(),
        rank=rows[columns.RANK].to_numpy(),
        origin=np.zeros(len(rows), np.int8),
        origins=("read",),
    )
    seen, blocked = recommender.features.history.seen_items, np.zeros(0, np.int32)
    check_lists(lists, n=job.n, n_items=len(recommender.items), seen=seen, blocked=blocked)


def _absent(rows: pa.Table, asked: pa.Array) -> pa.Array:
    """Those of `asked` who have no row."""
    return asked.filter(pc.invert(pc.is_in(asked, value_set=rows[columns.USER_ID].combine_chunks())))


def _with_reasons(absent: pa.Array, recommender: Recommender) -> list[LeftOutUser]:
    n_seen = recommender.features.history.seen_items.count(recommender.users.numbers(absent))
    reasons = np.where(n_seen == len(recommender.items), _SEEN_ALL, _NOTHING_FOUND)
    return [LeftOutUser(user_id, str(reason)) for user_id, reason in zip(absent.to_pylist(), reasons, strict=True)]


def _remove(path: Path) -> None:
    """Whatever it is; a link, and not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
