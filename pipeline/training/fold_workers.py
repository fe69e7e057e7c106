"""Folds in processes of their own, or on a cluster: each gives what the trainer of the ranker learns from its fold."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import TypeAlias

from belfry.dataset.errors import BelfryError
from belfry.dataset.folds import Holdout
from belfry.dataset.prepare import Data
from belfry.pipeline.cluster import joined
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.progress import silent
from belfry.pipeline.training.ranker_trainer import Observed
from belfry.pipeline.training.retrieval_stage import Tuning, fit_first_stage, training_folds
from belfry.pipeline.training.trainer_registry import make_trainer


@dataclass(frozen=True)
class FoldTask:
    """One fold, as the first one has decided how it is learned from."""

    config: PipelineConfig
    holdout: Holdout
    number: int  # from 0
    n_folds: int
    tuning: Tuning
    seed: int


# Begins with a fold, and gives what waits for its end: BelfryError where its process was ended from outside.
Submit: TypeAlias = Callable[[FoldTask], Callable[[], list[Observed]]]


def observe_fold(data: Data, task: FoldTask) -> list[Observed]:
    """The first stage on the history of a fold, and what it brings; nothing where there are fewer folds."""
    folds = training_folds(data, task.config, task.holdout, seed=task.seed)
    fold = next(islice(folds, task.number, None), None)
    if fold is None:
        return []
    stage = fit_first_stage(data, fold.history, task.config, seed=task.seed, tuning=task.tuning)
    with closing(make_trainer(data, task.config, seed=task.seed, progress=silent)) as trainer:
        return list(trainer.observe(fold, stage, n_folds=task.n_folds))


@contextmanager
def fold_workers(data: Data, n_workers: int, address: str | None = None) -> Iterator[Submit | None]:
    """A way to have folds observed beside this process, by `n_workers` - 1 others; None where there is no other.

    With the `address` of a cluster they work there, as many of them as it has cores.
    """
    bare = replace(data, interactions=replace(data.interactions))  # without what was computed of them
    if address is not None:
        with joined(address, None) as cluster:
            yield cluster.submitter(observe_fold, bare)
        return
    if n_workers < 2:
        yield None
        return
    pool = ProcessPoolExecutor(
        n_workers - 1, mp_context=get_context("spawn"), initializer=_begin, initargs=(bare, os.getpid())
    )
    try:
        yield lambda task: partial(_result_of, pool.submit(_observe, task))
    finally:
        for process in list((pool._processes or {}).values()):  # what still works on a fold would go on to its end
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _result_of(observed: Future[list[Observed]]) -> list[Observed]:
    try:
        return observed.result()
    except BrokenProcessPool as error:
        raise BelfryError(
            "a process that trained on a part of the history was ended from outside, perhaps because memory ran out; "
            "train again with fewer workers"
        ) from error


_data: Data


def _begin(data: Data, parent: int) -> None:
    """In a new process: keep the data, and end when the parent has ended, however that came."""
    global _data
    _data = data

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _observe(task: FoldTask) -> list[Observed]:
    return observe_fold(_data, task)
