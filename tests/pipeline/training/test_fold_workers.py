"""Folds in processes of their own."""

import os
import signal
from multiprocessing import active_children
from time import sleep

import numpy as np
import pytest

from belfry.dataset.errors import BelfryError
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.training.fold_workers import FoldTask, fold_workers
from belfry.pipeline.training.retrieval_stage import Tuning
from belfry.pipeline.training.train import train
from tests.pipeline.small_world import small_data

SETTINGS = ["n_candidates=12", "folds=3", "sources=[]", "retrieval.kind=pure_svd", "retrieval.embedding_size=4"]


def config() -> PipelineConfig:
    return load_config("default", holdout="random", settings=[*SETTINGS, "ranker.epochs=2"])


def task() -> FoldTask:
    return FoldTask(config(), "random", 1, 3, Tuning(config(), {}, {"pure_svd": 1.0}), 0)


def test_two_processes_train_the_same_run_as_one() -> None:
    data = small_data()
    users = np.arange(1, 41, dtype=np.int32)
    lists = []
    for workers in (1, 2):
        two_stage = train(data, config(), holdout="random", seed=0, workers=workers).two_stage
        limits = {"n": 8, "exclude": data.interactions.seen_items, "blocked": np.zeros(0, np.int32)}
        lists.append(two_stage.lists(users, "final", **limits))
    assert lists[0].item_num.tolist() == lists[1].item_num.tolist()
    np.testing.assert_array_equal(lists[0].score, lists[1].score)


def test_one_worker_starts_no_process() -> None:
    with fold_workers(small_data(), 1) as submit:
        assert submit is None


def test_a_process_that_is_killed_is_told_in_words() -> None:
    with fold_workers(small_data(), 2) as submit:
        assert submit is not None
        observed = submit(task())
        while not (children := active_children()):
            sleep(0.05)
        os.kill(children[0].pid or 0, signal.SIGKILL)
        with pytest.raises(BelfryError, match="ended from outside, perhaps because memory ran out"):
            observed()


def test_no_process_outlives_the_training() -> None:
    with fold_workers(small_data(), 2) as submit:
        assert submit is not None
        submit(task())
    for child in active_children():
        child.join(10)
    assert not active_children()
