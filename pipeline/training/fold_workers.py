"""Folds in processes of their own: each gives what the trainer of the ranker learns from its fold."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from typing import TypeAlias

from belfry.dataset.errors import BelfryError
from belfry.dataset.folds import Holdout
from belfry.dataset.prepare import Data
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


Submit: TypeAlias = Callable[[FoldTask], Future[list[Observed]]]


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
def fold_workers(data: Data, n_workers: int) -> Iterator[Submit | None]:
    """A way to have folds observed beside this process, by `n_workers` - 1 others; None where there is no other."""
    if n_workers < 2:
        yield None
        return
    bare = replace(data, interactions=replace(data.interactions))  # without what was computed of them
    pool = ProcessPoolExecutor(
        n_workers - 1, mp_context=get_context("spawn"), initializer=_begin, initargs=(bare, os.getpid())
    )
    try:
        yield lambda task: pool.submit(_observe, task)
    finally:
        for process in list((pool._processes or {}).values()):  # what still works on a fold would go on to its end
            process.terminate()
        pool.shutdown(cancel_futures=True)


def result_of(observed: Future[list[Observed]]) -> list[Observed]:
    """Waits for a fold.

    Raises:
        BelfryError: its process was ended from outside, most often for want of memory.
    """
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
