"""Recommender: lists for users out of a published run. Imports no TensorFlow."""

import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from dataset import columns
from dataset.candidates import Candidates
from dataset.errors import InputError, UnknownUserError
from dataset.interactions import SeenItems
from dataset.vocabulary import UNKNOWN, Id, Numbers, as_id_type
from pipeline.artifacts import Run, current_run, default_artifacts, open_run
from pipeline.config import PipelineConfig
from pipeline.invariants import check_lists
from pipeline.run_files import load_tables
from pipeline.serving import load_serving
from pipeline.stages import COLD, Stage

PathLike: TypeAlias = str | os.PathLike[str]


class Recommendation(NamedTuple):
    """One place of a list."""

    rank: int  # 1-based
    item_id: Id
    title: str | None
    score: float  # comparable within one list only; falls with rank
    origin: str  # the source that brought the item; "cold" where nothing is known of the user's taste

    @property
    def is_cold(self) -> bool:
        return self.origin == COLD


class Recommender:
    """Answers from one run, whole in memory; safe to call from many threads."""

    def __init__(self, run: Run) -> None:
        """`run` is opened, and with it checked, by `load`."""
        self.run = run
        config = PipelineConfig.model_validate(run.manifest.config)
        self.features, self._titles = load_tables(run.folder)
        self.stages = load_serving(run.path("serving"), self.features, config, gate_is_open=_gate_is_open(run))
        self.users, self.items = self.features.history.users, self.features.history.items
        self._nothing_seen = SeenItems.nothing(len(self.users))

    @classmethod
    def load(cls, path: PathLike | None = None) -> "Recommender":
        """The run in `path`: a run folder, or an artifacts folder, whose current run it is.

        Without a path: the folder that `BELFRY_ARTIFACTS` names, else `artifacts`.

        Raises:
            ArtifactError: there is no run, or it is damaged, foreign or of another version.
        """
        return cls(open_run(Path(path) if path is not None else default_artifacts()))

    def recommend(
        self,
        user: Id,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: Collection[Id] = (),
        only: Collection[Id] | None = None,
        strict: bool = False,
    ) -> list[Recommendation]:
        """At most `n` items for one user, best first; fewer where no more are left, never filler.

        An unknown user, or one without a history, gets what is popular now, among users alike where features are
        known; `origin` is then "cold".

        Args:
            exclude_seen: leave out what the user has watched.
            exclude: further items to leave out; ids outside the catalogue are ignored.
            only: where given, the items to choose from.
            strict: refuse an unknown user instead.

        Raises:
            UnknownUserError: the user is unknown and `strict` is set.
            InputError: `n` is below 1.
        """
        number = self.users.number(user)
        if strict and number == UNKNOWN:
            raise UnknownUserError(f"user {user!r} is not in run {self.run.name}; leave out strict for a cold answer")
        lists = self._lists(np.array([number], np.int32), n, "final", exclude_seen, exclude, only)
        item_ids = self.items.take(lists.item_num).to_pylist()
        titles = self._titles.take(pa.array(lists.item_num - 1)).to_pylist()
        rows = zip(lists.rank.tolist(), item_ids, titles, lists.score.tolist(), lists.origin, strict=True)
        return [
            Recommendation(rank, item_id, title, score, lists.origins[origin])
            for rank, item_id, title, score, origin in rows
        ]

    def recommend_many(
        self,
        users: Sequence[Id] | pa.Array | pa.ChunkedArray,
        n: int = 10,
        *,
        stage: Stage = "final",
        exclude_seen: bool = True,
        exclude: Collection[Id] = (),
        only: Collection[Id] | None = None,
    ) -> pa.Table:
        """Lists of many users as one table: user_id, rank, item_id, score, origin; users in the order asked.

        A user with nothing left to recommend has no row.

        Args:
            users: ids, each once.
            stage: "retrieval" gives the first stage's own order; the rest as in `recommend`.

        Raises:
            InputError: a user is asked for twice or is no id, `n` is below 1, or `stage` is neither.
        """
        ids = _check_ids(users)
        lists = self._lists(self.users.numbers(ids), n, stage, exclude_seen, exclude, only)
        return pa.table(
            {
                columns.USER_ID: ids.take(pa.array(lists.row_user)),
                columns.RANK: pa.array(lists.rank, pa.int32()),
                columns.ITEM_ID: self.items.take(lists.item_num),
                columns.SCORE: pa.array(lists.score, pa.float32()),
                columns.ORIGIN: pa.array(lists.origins, pa.string()).take(pa.array(lists.origin)),
            },
            metadata={"belfry.run": self.run.name, "belfry.stage": stage},
        )

    def _lists(
        self,
        users: Numbers,
        n: int,
        stage: Stage,
        exclude_seen: bool,
        exclude: Collection[Id],
        only: Collection[Id] | None,
    ) -> Candidates:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"n={n!r}: wanted a whole number of at least 1")
        if stage not in ("final", "retrieval"):
            raise InputError(f"stage={stage!r}: wanted 'final' or 'retrieval'")
        seen = self.features.history.seen_items if exclude_seen else self._nothing_seen
        blocked = self._item_numbers(exclude)
        lists = self.stages.lists(
            users,
            n=min(int(n), len(self.items)),
            stage=stage,
            exclude=seen,
            blocked=blocked,
            only=None if only is None else self._item_numbers(only),
        )
        check_lists(lists, n=n, n_items=len(self.items), seen=seen, blocked=blocked)
        return lists

    def _item_numbers(self, ids: Collection[Id]) -> Numbers:
        if isinstance(ids, str):
            raise InputError(f"exclude, only: {ids!r} is one id; pass a list of ids")
        numbers = (self.items.number(item_id) for item_id in ids)
        return np.array([number for number in numbers if number != UNKNOWN], np.int32)


def _check_ids(users: Sequence[Id] | pa.Array | pa.ChunkedArray) -> pa.Array:
    """Ids of one type, each once."""
    try:
        ids = users if isinstance(users, pa.Array | pa.ChunkedArray) else pa.array(list(users))
    except (pa.ArrowException, OverflowError) as error:
        raise InputError(f"users: the ids are not all strings or all int64 ({error}); make them one type") from error
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if not len(ids):
        return ids
    if ids.null_count:
        raise InputError(f"users: {ids.null_count:,} ids are null; leave them out")
    ids = as_id_type(ids)
    if len(ids.unique()) < len(ids):
        raise InputError(f"users: {len(ids) - len(ids.unique()):,} are asked for more than once; pass each once")
    return ids


def _gate_is_open(run: Run) -> bool:
    gate = run.manifest.notes.get("gate")
    return isinstance(gate, dict) and gate.get("is_open") is True


_loaded: dict[Path, Recommender] = {}  # artifacts folder -> its current run; guarded by the lock
_lock = threading.Lock()


def recommend(
    user: Id,
    n: int = 10,
    *,
    artifacts: PathLike | None = None,
    exclude_seen: bool = True,
    exclude: Collection[Id] = (),
    only: Collection[Id] | None = None,
    strict: bool = False,
) -> list[Recommendation]:
    """As `Recommender.recommend`, from the run that is current in `artifacts` at the time of the call.

    The run is loaded at the first call and again when another one is published.
    """
    folder = Path(artifacts) if artifacts is not None else default_artifacts()
    return _current(folder).recommend(user, n, exclude_seen=exclude_seen, exclude=exclude, only=only, strict=strict)


def _current(artifacts: Path) -> Recommender:
    is_run = (artifacts / "manifest.json").exists()
    with _lock:
        known = _loaded.get(artifacts)
        if known is None or (not is_run and known.run.folder != current_run(artifacts)):
            known = _loaded[artifacts] = Recommender.load(artifacts)
        return known
