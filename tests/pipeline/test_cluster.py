"""Work on a cluster of Ray: in order, its errors as they are, and words where there is no cluster."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline import cluster as cluster_module
from belfry.pipeline.cluster import Cluster, ClusterError, joined
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules.config import Rules
from belfry.pipeline.training.train import train
from tests.pipeline.small_world import small_data
from tests.pipeline.training.test_fold_workers import config

pytest.importorskip("ray", reason="needs the extra ray")
LISTS = "recommendations.parquet"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One on this machine, in which this process stays for the tests below."""
    with joined(None, 2) as one:
        yield one


def add(base: list[int], number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return base[0] + number


def fail(base: list[int], number: int) -> int:
    raise InputError(f"no {number}")


def test_results_come_in_order_and_items_no_sooner_than_there_is_room(cluster: Cluster) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    results = cluster.in_order(add, [100], "one", items())
    assert next(results) == 100
    assert len(taken) <= 5
    assert list(results) == list(range(101, 120))
    assert list(cluster.in_order(add, [200], "another", [])) == []
    assert list(cluster.in_order(add, [200], "another", [7])) == [207]


def test_an_error_of_a_task_is_itself(cluster: Cluster) -> None:
    with pytest.raises(InputError, match=r"^no 3$"):
        list(cluster.in_order(fail, [0], "failing", [3]))
    with pytest.raises(InputError, match=r"^no 4$"):
        cluster.submitter(fail, [0])(4)()


def test_a_table_is_the_same_to_the_byte(cluster: Cluster, tiny_run, tmp_path) -> None:
    recommender = Recommender.load(tiny_run)
    rules = Rules.model_validate({"deny": [recommender.items.ids[0].as_py()]})
    for engine in ("threads", "ray"):
        write_batch(recommender, tmp_path / engine, n=5, rules=rules, explain=True, engine=engine)
    tables = [(tmp_path / engine / LISTS).read_bytes() for engine in ("threads", "ray")]
    assert tables[0] == tables[1]


def test_a_training_is_the_same(cluster: Cluster) -> None:
    data = small_data()
    users = np.arange(1, 41, dtype=np.int32)
    lists = []
    for address in (None, "auto"):
        two_stage = train(data, config(), holdout="random", seed=0, address=address).two_stage
        limits = {"n": 8, "exclude": data.interactions.seen_items, "blocked": np.zeros(0, np.int32)}
        lists.append(two_stage.lists(users, "final", **limits))
    assert lists[0].item_num.tolist() == lists[1].item_num.tolist()
    np.testing.assert_array_equal(lists[0].score, lists[1].score)


@pytest.mark.parametrize("address", ["nowhere", "host:", ":1", "host:port", ""])
def test_an_address_without_a_port_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(InputError, match="wanted HOST:PORT, ray://HOST:PORT or auto"), joined(address, None):
        pass


@pytest.mark.parametrize("kind", ["", "ray://"])
def test_an_address_where_nobody_answers_is_refused_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"{kind}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=r"no cluster lets us in there.*ray start"), joined(address, None):
            pass


@pytest.mark.parametrize(("said", "found"), [(b"", "timed out"), (b"HTTP/1.1 400 Bad Request", "is not Ray")])
def test_somebody_else_who_answers_is_not_waited_for(said: bytes, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(cluster_module, "_ANSWERS_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            with other.accept()[0] as caller:
                caller.sendall(said)
                time.sleep(0.5)

        threading.Thread(target=answer).start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"no cluster lets us in there: .*{found}"), joined(address, None):
            pass


def test_a_cluster_without_a_core_is_refused() -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"memory": 1e9})
    with pytest.raises(InputError, match=r"no core to work on; add a machine"):
        Cluster(ray, "127.0.0.1:1", None)


def test_what_takes_long_is_waited_for_as_long_as_the_cluster_is_there(cluster: Cluster) -> None:
    waited = []

    def get(*, timeout: float) -> str:
        waited.append(timeout)
        if len(waited) < 6:
            raise TimeoutError
        return "done"

    assert cluster._result(get) == "done"
    cluster._address, waited = "127.0.0.1:1", []
    with pytest.raises(ClusterError, match=r"went away, nobody answers at 127\.0\.0\.1:1 any more; make the same call"):
        cluster._result(get)
    assert len(waited) == 3


def test_ray_does_not_try_for_ever_where_memory_is_short(cluster: Cluster) -> None:
    name = "RAY_task_oom_retries"
    assert int(os.environ[name]) > 0


def test_without_ray_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'belfry-recommender\[ray\]'"), joined(None, None):
        pass


def test_an_engine_or_an_address_that_does_not_fit_is_refused(tiny_run, tmp_path) -> None:
    recommender = Recommender.load(tiny_run)
    with pytest.raises(InputError, match="engine='spark': wanted one of threads, ray"):
        write_batch(recommender, tmp_path, n=5, engine="spark")
    with pytest.raises(InputError, match="only --engine ray works on a cluster"):
        write_batch(recommender, tmp_path, n=5, address="auto")
    assert not list(tmp_path.glob("*.parquet"))
