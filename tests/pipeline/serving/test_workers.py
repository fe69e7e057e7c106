"""Blocks of users on several threads: the same lists, in order, bounded in memory, and an end when they are left."""

import threading
from contextlib import closing

import pyarrow as pa
import pytest

from belfry.dataset.concurrency import machine
from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.serving import workers
from belfry.pipeline.serving.answers import Answers
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.workers import in_order, workers_within_memory
from tests.pipeline.small_recommender import SmallRecommender


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_results_are_in_order(n_workers):
    n_threads = threading.active_count()  # of whatever ran before in this process
    with closing(in_order(lambda i: i * i, range(50), n_workers)) as squares:
        assert list(squares) == [i * i for i in range(50)]
    assert threading.active_count() == n_threads


def test_two_work_at_a_time():
    both = threading.Barrier(2, timeout=30)
    assert list(in_order(lambda i: both.wait() in (0, 1), range(4), 2)) == [True] * 4


def test_one_worker_is_this_thread():
    assert set(in_order(lambda i: threading.current_thread(), range(3), 1)) == {threading.main_thread()}


def test_items_are_asked_for_no_sooner_than_they_are_needed():
    asked = []
    with closing(in_order(lambda i: i, (asked.append(i) or i for i in range(100)), 2)) as results:
        assert next(results) == 0
        assert len(asked) == 3


def test_left_early_nothing_else_is_begun():
    n_threads, begun = threading.active_count(), []
    with pytest.raises(KeyboardInterrupt), closing(in_order(begun.append, range(100), 2)) as results:
        next(results)
        raise KeyboardInterrupt
    assert len(begun) <= 3
    assert threading.active_count() == n_threads


@pytest.mark.parametrize("n_workers", [1, 3])
def test_an_error_comes_to_who_asked(n_workers):
    n_threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), closing(in_order(lambda i: 1 / (5 - i), range(100), n_workers)) as results:
        list(results)
    assert threading.active_count() == n_threads


@pytest.mark.parametrize(("free_bytes", "n_workers"), [(None, 4), (10 << 30, 4), (600 << 20, 2), (1 << 20, 1)])
def test_no_more_workers_than_memory(monkeypatch, caplog, free_bytes, n_workers):
    monkeypatch.setattr(workers, "available_bytes", lambda: free_bytes)
    assert workers_within_memory(None) == n_workers
    expected = f"each worker may need 256: {n_workers} will work rather than 4"
    assert all(expected in message for message in caplog.messages)
    assert len(caplog.messages) == (n_workers < 4)


@pytest.mark.parametrize("stage", ["final", "retrieval"])
def test_lists_are_equal_however_many_work(tiny_run, monkeypatch, stage):
    recommender = Recommender.load(tiny_run)
    monkeypatch.setattr(workers, "USERS_PER_BLOCK", 16)
    ids = pa.concat_arrays([recommender.users.ids, pa.array([-5, -6])])
    alone, *others = (recommender.recommend_many(ids, 20, stage=stage, workers=n) for n in (1, 2, 4, None))
    assert all(table.equals(alone, check_metadata=True) for table in others)


def test_all_options_reach_every_block(monkeypatch):
    recommender = SmallRecommender()
    ids, options = [5, 999, 7, 2, 40, 9, 1], {"exclude": ["b"], "only": ["a", "b", "c", "d"], "exclude_seen": False}
    whole = recommender.recommend_many(ids, 3, **options)
    monkeypatch.setattr(workers, "USERS_PER_BLOCK", 2)
    assert recommender.recommend_many(ids, 3, **options).equals(whole, check_metadata=True)
    with pytest.raises(InputError, match="stage='best'"):
        recommender.recommend_many(ids, 3, stage="best")


@pytest.mark.parametrize("ids", [[1], [*range(1, 41)]])
def test_workers_that_are_no_count(ids, monkeypatch):
    monkeypatch.setattr(workers, "USERS_PER_BLOCK", 2)
    with pytest.raises(InputError, match="workers=0: wanted a whole number of at least 1"):
        SmallRecommender().recommend_many(ids, 3, workers=0)


@pytest.fixture
def memory_for(monkeypatch):
    """Makes so many users at once all that there is memory for."""

    def limit(n_at_once):
        answer = Answers.of_block

        def of_block(self, asked, request):
            if len(asked) > n_at_once:
                raise MemoryError
            return answer(self, asked, request)

        monkeypatch.setattr(Answers, "of_block", of_block)

    return limit


@pytest.mark.parametrize("users_per_block", [32, 256])
def test_too_little_memory_for_all_at_once(monkeypatch, caplog, users_per_block, memory_for):
    monkeypatch.setattr(workers, "USERS_PER_BLOCK", users_per_block)
    recommender = SmallRecommender()
    ids = recommender.users.ids
    whole = recommender.recommend_many(ids, 3)
    memory_for(11)
    assert recommender.recommend_many(ids, 3).equals(whole)
    n = min(40, users_per_block)
    assert caplog.messages[0] == f"there is not enough memory for {n} users at once; {n // 2} at once are tried"


def test_too_little_memory_for_anybody(memory_for):
    memory_for(0)
    with pytest.raises(BelfryError, match="not enough memory for the list of one user; free some, run again"):
        SmallRecommender().recommend_many([1, 2], 3)
