"""Load from another process: requests begin when they are due, whatever the server does (no coordinated omission)."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

N_CONNECTIONS = 32


@dataclass
class Load:
    """What came back."""

    seconds: float
    milliseconds: list[float] = field(default_factory=list)  # from when each request was due
    statuses: Counter[int] = field(default_factory=Counter)  # 0: no answer
    runs: Counter[str] = field(default_factory=Counter)  # that answered

    @property
    def n_errors(self) -> int:
        return self.statuses.total() - self.statuses[200]

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.milliseconds, share))


class _Connection:
    """Keeps alive, as a client in a service does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            return int(head.split(None, 2)[1]), await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            writer.close()
            self._streams = None
            return 0, b""

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def ask_for_lists(port: int, users: Sequence[object], *, per_s: float, seconds: float, seed: int = 0) -> Load:
    """Ask for lists of users at random, at random moments, `per_s` times a second."""
    generator, load = random.Random(seed), Load(seconds)
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    connections = [_Connection(port) for _ in range(N_CONNECTIONS)]
    for connection in connections:
        free.put_nowait(connection)

    async def ask(due_s: float, user: object) -> None:
        connection = await free.get()
        status, body = await connection.ask(f"/v1/recommend?user={user}&n=10")
        load.milliseconds.append(1000 * (time.perf_counter() - due_s))
        free.put_nowait(connection)
        load.statuses[status] += 1
        if status == 200:
            load.runs[json.loads(body)["run"]] += 1

    started_s = due_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        while (due_s := due_s + generator.expovariate(per_s)) < started_s + seconds:
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            group.create_task(ask(due_s, generator.choice(users)))
    for connection in connections:
        connection.close()
    return load
