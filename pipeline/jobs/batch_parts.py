"""Parts of a recommendation table: made on all cores, kept on the disk, so that a stopped job can go on from them."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import BelfryError
from belfry.pipeline.jobs.sinks import repeating_columns
from belfry.pipeline.runs.disk import remove, sync
from belfry.pipeline.serving.checks import check_lists
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage
from belfry.pipeline.serving.workers import USERS_PER_BLOCK, Asking, Block, answer_blocks, blocks_of

USERS_PER_PART = USERS_PER_BLOCK
ROWS_PER_PART = 1_000_000  # longer lists make smaller parts, so that memory stays bounded

_FORMAT = 1  # of the parts: raise it when their meaning changes
_N_ABSENT = b"belfry.n_left_out"  # in a part's metadata

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchJob:
    """A recommendation table that is to be made."""

    recommender: Recommender
    asked: pa.Array  # ids, each once
    n: int
    stage: Stage
    schema: pa.Schema  # of the table

    @property
    def key(self) -> str:
        """Equal only for jobs whose parts are equal."""
        run, id_type = self.recommender.run.name, str(self.asked.type)
        about = (_FORMAT, run, self.stage, self.n, USERS_PER_PART, ROWS_PER_PART, id_type)
        digest = hashlib.sha256(json.dumps(about).encode())
        for start in range(0, len(self.asked), USERS_PER_PART):
            digest.update(json.dumps(self.asked[start : start + USERS_PER_PART].to_pylist()).encode())
        return digest.hexdigest()[:12]

    @property
    def parts(self) -> Iterator[Block]:
        """The users in each part, the same however many processes work."""
        longest = min(self.n, len(self.recommender.items))
        return blocks_of(self.asked, min(USERS_PER_PART, max(1, ROWS_PER_PART // longest)))

    @property
    def asking(self) -> Asking:
        """How a part is made."""
        recommender = self.recommender
        return Asking(
            lambda users: recommender.recommend_many(users, self.n, stage=self.stage, workers=1),
            run=recommender.run if recommender.as_published else None,
            options={"n": self.n, "stage": self.stage},
        )

    def check_rows(self, rows: pa.Table, asked: pa.Array) -> None:
        """Check the promises about the lists of `asked`, in rows that were read from where they are stored.

        Raises:
            BelfryError: a promise is broken.
        """
        if not rows.schema.equals(self.schema):
            raise BelfryError(f"the columns are {rows.schema.to_string()} instead of {self.schema.to_string()}")
        row_user = pc.fill_null(pc.index_in(rows[columns.USER_ID], value_set=asked), -1).to_numpy()
        if (row_user < 0).any() or (np.diff(row_user) < 0).any():
            raise BelfryError("there are users that nobody asked for, or not in the order asked")
        recommender = self.recommender
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
        check_lists(lists, n=self.n, n_items=len(recommender.items), seen=seen, blocked=blocked)


@dataclass(frozen=True)
class Made:
    """What `make_parts` has done."""

    absent: pa.Array  # ids of the users who are in no part
    resumed: bool  # whether some parts were there
    n_workers: int  # processes that worked


def make_parts(job: BatchJob, folder: Path, workers: int, progress: Callable[[int, int], None]) -> Made:
    """Have every part in `folder`, by at most `workers` processes. `progress` is called in this thread."""
    if folder.is_symlink() or not folder.is_dir():
        remove(folder)
        folder.mkdir()
    absent: dict[int, pa.Array] = {}
    n_done = 0

    def keep(part: Block, rows: pa.Table) -> pa.Array:
        return _write_part(rows, part.users, _path(folder, part.number))

    def told(part: Block, absent_in_part: pa.Array) -> None:
        nonlocal n_done
        absent[part.number] = absent_in_part
        n_done += len(part.users)
        progress(n_done, len(job.asked))

    missing = []
    for part in job.parts:
        rows = _read_whole_part(job, _path(folder, part.number), part.users)
        if rows is None:
            missing.append(part)
        else:
            told(part, users_without_row(rows, part.users))
    resumed = bool(absent)
    n_workers = answer_blocks(missing, job.asking, workers=workers, keep=keep, told=told)
    in_order = [absent[number] for number in sorted(absent)]
    return Made(pa.chunked_array(in_order, job.asked.type).combine_chunks(), resumed, n_workers)


def read_parts(job: BatchJob, folder: Path) -> Iterator[pa.Table]:
    """What `make_parts` has made, part by part."""
    for block in job.parts:
        with pq.ParquetFile(_path(folder, block.number)) as part:
            yield part.read()


def users_without_row(rows: pa.Table, asked: pa.Array) -> pa.Array:
    """Those of `asked` who have no row."""
    return asked.filter(pc.invert(pc.is_in(asked, value_set=rows[columns.USER_ID].combine_chunks())))


def _path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"


def _write_part(rows: pa.Table, asked: pa.Array, path: Path) -> pa.Array:
    """Returns the users without a row."""
    aside = path.with_suffix(".writing")
    for leftover in (aside, path):
        remove(leftover)
    absent = users_without_row(rows, asked)
    rows = rows.replace_schema_metadata({_N_ABSENT: str(len(absent))})
    pq.write_table(rows, aside, use_dictionary=repeating_columns(rows.schema))
    sync(aside)
    aside.rename(path)
    return absent


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
