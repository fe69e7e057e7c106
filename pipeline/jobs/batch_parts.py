"""Parts of a recommendation table: made on all cores, kept on the disk, so that a stopped job can go on from them."""

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import BelfryError
from belfry.dataset.history.repeats import Repeats, kept_out
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import ItemNums, as_numpy, positions_in
from belfry.pipeline.jobs.sinks.parquet import repeating_columns
from belfry.pipeline.runs.disk import explain_failed_writes, remove, sync
from belfry.pipeline.serving.checks import check_lists
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage
from belfry.pipeline.serving.users.asked import AskedUsers
from belfry.pipeline.serving.workers import USERS_PER_BLOCK, answer_within_memory, blocks_of

if TYPE_CHECKING:
    from belfry.pipeline.serving.rules.bound import BoundRules
    from belfry.pipeline.serving.rules.config import Rules

USERS_PER_PART = 4 * USERS_PER_BLOCK
ROWS_PER_PART = 1_000_000  # longer lists make smaller parts, so that memory stays bounded

_ROUNDING = 1e-4  # of an expected rating that is computed among others
_FORMAT = 1  # of the parts: raise it when their meaning changes
_N_ABSENT = b"belfry.n_left_out"  # in a part's metadata
_BEGUN = "begun"  # file beside the parts: the time that their rules speak of, where they need one

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Users whose lists are stored together."""

    number: int
    users: pa.Array


@dataclass(frozen=True)
class BatchJob:
    """A recommendation table that is to be made."""

    recommender: Recommender
    asked: AskedUsers  # each once
    n: int
    stage: Stage
    repeats: Repeats
    schema: pa.Schema  # of the table
    rules: "Rules | None" = None
    explain: bool = False

    @property
    def key(self) -> str:
        """Equal only for jobs whose parts are equal."""
        run, id_type = self.recommender.run.name, str(self.asked.ids.type)
        run += self.recommender.parts.folded
        about = (_FORMAT, run, self.stage, self.repeats, self.n, USERS_PER_PART, ROWS_PER_PART, id_type)
        digest = hashlib.sha256(json.dumps(about).encode())
        if self.rules is not None:
            digest.update(self.rules.key.encode())
        if self.explain:
            digest.update(b"explain")
        for start in range(0, len(self.asked), USERS_PER_PART):
            digest.update(json.dumps(self.asked.ids[start : start + USERS_PER_PART].to_pylist()).encode())
        newcomers, contexts = self.asked.newcomers, self.asked.contexts
        for name, values in newcomers.columns.to_arrays().items() if newcomers else ():
            digest.update(name.encode() + values.tobytes())
        for name, numbers in contexts.numbers.items() if contexts else ():
            digest.update(b"context" + name.encode() + numbers.tobytes())
        return digest.hexdigest()[:12]

    @property
    def bound(self) -> "BoundRules | None":
        """The rules, held against the items of the run, which keeps them; a job that is sent away takes none along."""
        return self.recommender.bound(self.rules)

    @property
    def parts(self) -> Iterator[Part]:
        """The users in each part, the same however many threads work."""
        longest = min(self.n, len(self.recommender.items))
        size = min(USERS_PER_PART, max(1, ROWS_PER_PART // longest))
        for number, start in enumerate(range(0, len(self.asked), size)):
            yield Part(number, self.asked.ids[start : start + size])

    def answer(self, users: pa.Array) -> pa.Table:
        """The lists of a block of users."""
        asked = replace(self.asked, ids=users)
        return self.recommender.recommend_many(
            asked, self.n, stage=self.stage, repeats=self.repeats, workers=1, explain=self.explain, rules=self.rules
        ).to_arrow()

    @property
    def without_users(self) -> "BatchJob":
        """The same for whoever is told the users block by block."""
        return replace(self, asked=self.asked[:0])

    def check_rows(self, rows: pa.Table, asked: pa.Array) -> None:
        """Check the promises about the lists of `asked`, in rows that were read from where they are stored.

        Raises:
            BelfryError: a promise is broken.
        """
        if not rows.schema.equals(self.schema):
            raise BelfryError(f"the columns are {rows.schema.to_string()} instead of {self.schema.to_string()}")
        if any(column.null_count for column in rows.columns):
            raise BelfryError("there are nulls")
        row_user = positions_in(rows[columns.USER_ID].combine_chunks(), asked).astype(np.int64)
        if (row_user < 0).any() or (np.diff(row_user) < 0).any():
            raise BelfryError("there are users that nobody asked for, or not in the order asked")
        for floor in self.bound.floors if self.bound else ():
            ratings = as_numpy(rows[columns.EXPECTED_RATING])
            if not floor.holds(ratings + (_ROUNDING if floor.sign in (">", ">=") else -_ROUNDING)).all():
                raise BelfryError(f"there are items that are not {floor}")
        recommender = self.recommender
        lists = Candidates(
            users=recommender.users.numbers(asked),
            row_user=row_user,
            item_num=recommender.items.numbers(rows[columns.ITEM_ID]),
            score=as_numpy(rows[columns.SCORE]),
            rank=as_numpy(rows[columns.RANK]),
            origin=np.zeros(len(rows), np.int8),
            origins=("read",),
            propensity=as_numpy(rows[columns.PROPENSITY]) if columns.PROPENSITY in rows.column_names else None,
        )
        check_lists(lists, n=self.n, n_items=len(recommender.items), seen=self._kept_out, blocked=self._blocked)

    @cached_property
    def _kept_out(self) -> SeenItems:
        """What no list may hold."""
        return kept_out(self.recommender.features.history, self.repeats)

    @cached_property
    def _blocked(self) -> ItemNums:
        """What nobody may get."""
        if self.bound is None:
            return np.zeros(0, np.int32)
        return np.flatnonzero(~self.bound.allowed()).astype(np.int32)


AnswerAll: TypeAlias = Callable[[BatchJob, Iterable[pa.Array]], Generator[pa.Table]]  # blocks of users -> their lists


def answer_users(job: BatchJob, users: pa.Array) -> pa.Table:
    """`BatchJob.answer`, as a task of its own."""
    return answer_within_memory(job.answer, users)


def begun(job: BatchJob, folder: Path) -> BatchJob:
    """The job with a folder for its parts. Where rules need the time, it is that of when the job was first begun."""
    if folder.is_symlink() or not folder.is_dir():
        remove(folder)
        folder.mkdir()
    if job.rules is None or not job.rules.needs_time:
        return job
    note = folder / _BEGUN
    try:
        now = datetime.fromisoformat(note.read_text())
    except (OSError, ValueError):
        now = datetime.now(UTC)
        with explain_failed_writes(note):
            note.write_text(now.isoformat())
    return replace(job, rules=job.rules.model_copy(update={"now": now}))


def make_parts(
    job: BatchJob, folder: Path, answer_all: AnswerAll, progress: Callable[[int, int], None]
) -> tuple[pa.Array, bool]:
    """Have every part in `folder`, answered by others and written by this thread while they go on.

    Returns:
        The users who are in no part, and whether some parts were there.
    """
    absent: dict[int, pa.Array] = {}
    missing: list[Part] = []
    n_done = 0

    def note(part: Part, rows: pa.Table) -> None:
        nonlocal n_done
        absent[part.number] = users_without_row(rows, part.users)
        n_done += len(part.users)
        progress(n_done, len(job.asked))

    for part in job.parts:
        rows = _read_whole_part(job, _path(folder, part.number), part.users)
        if rows is None:
            missing.append(part)
        else:
            note(part, rows)
    resumed = bool(absent)
    blocks = (block for part in missing for block in blocks_of(part.users, USERS_PER_BLOCK))
    with closing(answer_all(job, blocks)) as tables:
        for part in missing:
            rows = pa.concat_tables(next(tables) for _ in blocks_of(part.users, USERS_PER_BLOCK))
            _write_part(rows, part.users, _path(folder, part.number))
            note(part, rows)
    in_order = [absent[number] for number in sorted(absent)]
    return pa.chunked_array(in_order, job.asked.ids.type).combine_chunks(), resumed


def read_parts(job: BatchJob, folder: Path) -> Iterator[pa.Table]:
    """What `make_parts` has made, part by part."""
    for part in job.parts:
        with pq.ParquetFile(_path(folder, part.number)) as file:
            yield file.read()


def users_without_row(rows: pa.Table, asked: pa.Array) -> pa.Array:
    """Those of `asked` who have no row."""
    return asked.filter(pc.invert(pc.is_in(asked, value_set=rows[columns.USER_ID].combine_chunks())))


def _path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"


def _write_part(rows: pa.Table, asked: pa.Array, path: Path) -> None:
    aside = path.with_suffix(".writing")
    for leftover in (aside, path):
        remove(leftover)
    rows = rows.replace_schema_metadata({_N_ABSENT: str(len(users_without_row(rows, asked)))})
    with explain_failed_writes(path):
        pq.write_table(rows, aside, row_group_size=max(1, len(rows)), use_dictionary=repeating_columns(rows.schema))
        sync(aside)
        aside.rename(path)


def _read_whole_part(job: BatchJob, path: Path, asked: pa.Array) -> pa.Table | None:
    """A part that an earlier job has made; None where it is not there, damaged, or not what was asked for."""
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            rows = file.read()
        rows.validate(full=True)
        job.check_rows(rows, asked)
    except (pa.ArrowException, OSError, BelfryError) as error:
        log.warning("%s is made again: %s", path, error)
        return None
    n_absent = (rows.schema.metadata or {}).get(_N_ABSENT)
    return rows if n_absent == str(len(users_without_row(rows, asked))).encode() else None
