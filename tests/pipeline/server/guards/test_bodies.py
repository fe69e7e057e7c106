"""Bodies: no more than agreed, whatever is said of their length, and not for longer."""

import asyncio
from collections.abc import Iterator

from belfry.pipeline.server.guards.bodies import MAX_BODY, Bodies


def test_a_large_body_is_refused_by_what_it_says_and_by_what_comes(asked):
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    for content in (b" " * (MAX_BODY + 1), parts()):
        answer = asked.post("/v1/recommend", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
        assert answer.headers["connection"] == "close"


def test_the_largest_body_is_read(asked):
    body = b'{"user": 1, "n": 1}'
    answer = asked.post(
        "/v1/recommend", content=body + b" " * (MAX_BODY - len(body)), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200


def test_a_slow_body_is_given_up():
    async def ask() -> list[dict[str, object]]:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b" ", "more_body": True}

        async def send(message) -> None:
            sent.append(message)

        async def app(scope, receive, send) -> None:
            raise AssertionError("nothing has come")

        await Bodies(app, timeout_s=0.1)({"type": "http", "headers": []}, receive, send)
        return sent

    start, _ = asyncio.run(ask())
    assert start["status"] == 408


def test_a_client_that_leaves_is_answered_nothing():
    async def ask() -> None:
        async def receive() -> dict[str, object]:
            return {"type": "http.disconnect"}

        async def fail(*_: object) -> None:
            raise AssertionError("nobody is there")

        await Bodies(fail, timeout_s=1)({"type": "http", "headers": []}, receive, fail)

    asyncio.run(ask())
