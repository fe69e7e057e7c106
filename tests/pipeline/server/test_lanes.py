"""Lanes: in turn, no more than may wait, and not for longer than agreed."""

import asyncio
import threading

import pytest

from belfry.pipeline.server.errors import RefusedError
from belfry.pipeline.server.lanes import Lane


def test_more_than_may_wait_are_refused_at_once_and_the_rest_is_answered():
    async def ask() -> list[int | str]:
        gate, lane = threading.Event(), Lane("test", max_waiting=3, timeout_s=30)
        asked = [asyncio.create_task(lane.run(lambda number=number: gate.wait() and number)) for number in range(5)]
        while not all(one.done() for one in asked[3:]):
            await asyncio.sleep(0.01)
        gate.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert lane.n_waiting == 0
        lane.close()
        return [one.error if isinstance(one, RefusedError) else one for one in found]

    assert asyncio.run(ask()) == [0, 1, 2, "overloaded", "overloaded"]


def test_what_takes_too_long_is_given_up_and_what_has_not_begun_never_does():
    async def ask() -> list[str]:
        gate, began, lane = threading.Event(), [], Lane("test", max_waiting=3, timeout_s=0.05)
        asked = [lane.run(gate.wait), lane.run(lambda: began.append(1))]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert lane.n_waiting == 1  # a thread is still at work, and counts
        gate.set()
        assert await lane.run(lambda: "next") == "next"
        assert not began
        assert lane.n_waiting == 0
        lane.close()
        return [one.error for one in found]

    assert asyncio.run(ask()) == ["timeout", "timeout"]


def test_a_failure_of_the_call_is_its_own():
    async def ask() -> None:
        lane = Lane("test", max_waiting=1, timeout_s=5)
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 / 0)
        assert await lane.run(lambda: "on") == "on"
        lane.close()

    asyncio.run(ask())


def test_overload_is_503_with_retry_after(client, monkeypatch):
    asked = client(max_waiting=1, timeout_s=0.1)
    from belfry import Recommender

    gate = threading.Event()
    monkeypatch.setattr(Recommender, "recommend", lambda self, **_: gate.wait() and [])
    late = asked.get("/v1/recommend?user=1")
    assert (late.status_code, late.json()["error"], late.headers["retry-after"]) == (503, "timeout", "1")
    full = asked.get("/v1/recommend?user=1")
    assert (full.status_code, full.json()["error"], full.headers["retry-after"]) == (503, "overloaded", "1")
    assert asked.get("/v1/health").status_code == 200
    gate.set()
