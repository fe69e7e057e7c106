"""Requests that nobody means well: each must be refused, in words or by the end of the connection."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

KEY = "k" * 40  # the one that the server knows
N_AT_ONCE = 20
ANSWER_S = 3  # then it waits for the rest of what is no whole request
LEAKS = (b"Traceback", b'File "', b"site-packages", b".py", b"/home/", b"/tmp/", KEY.encode())

_ROUTES = ("/v1/recommend?user=1", "/v1/items/similar?item=1", "/v1/users/similar?user=1", "/v1/metrics")
_POSTS = ("/v1/recommend", "/v1/recommend/many")
_RIGHT = f"Authorization: Bearer {KEY}\r\n".encode()


@dataclass
class Attacked:
    """What came of it."""

    statuses: Counter[int] = field(default_factory=Counter)  # 0: the connection was ended without an answer
    let_in: list[bytes] = field(default_factory=list)  # requests that were answered
    failed: list[bytes] = field(default_factory=list)  # to which the server answered that it failed
    leaked: list[bytes] = field(default_factory=list)

    @property
    def n(self) -> int:
        return self.statuses.total()


async def attack(port: int, n: int, seed: int = 0) -> Attacked:
    """`n` requests of all kinds, some at a time."""
    found, requests = Attacked(), hostile_requests(n, seed)

    async def ask() -> None:
        for request in requests:
            answer = await _send(port, request)
            words = answer.split(None, 2)
            status = int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") else 0
            found.statuses[status] += 1
            if 100 < status < 400:
                found.let_in.append(request[:300])
            if status >= 500:
                found.failed.append(request[:300])
            if any(leak in answer for leak in LEAKS):
                found.leaked.append(request[:300])

    async with asyncio.TaskGroup() as group:
        for _ in range(N_AT_ONCE):
            group.create_task(ask())
    return found


def hostile_requests(n: int, seed: int) -> Iterator[bytes]:
    generator = random.Random(seed)
    for number in range(n):
        yield _KINDS[number % len(_KINDS)](generator)


async def _send(port: int, request: bytes) -> bytes:
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                return await reader.read(1 << 20)
            finally:
                writer.close()
    except OSError:  # TimeoutError too: nothing was answered
        return b""


def _request(method: str, path: str, head: bytes = b"", body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n".encode() if body else b""
    start = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".encode("latin-1")
    return start + length + head + b"\r\n" + body


def _without_key(generator: random.Random) -> bytes:
    wrong = generator.choice(
        [
            b"",
            b"Authorization: Bearer " + KEY[:-1].encode() + b"\r\n",
            b"Authorization: Bearer " + KEY.encode() + b"k\r\n",
            b"Authorization: Bearer \xff\xfe\r\n",
            b"Authorization: Bearer\r\n",
            b"Authorization: Basic " + KEY.encode() + b"\r\n",
            b"Authorization: " + KEY.encode() + b"\r\n",
            b"Authorization: Bearer sha256:" + b"0" * 64 + b"\r\n",
            b"Authorization: Bearer ' OR 1=1 --\r\n",
            b"X-Forwarded-For: 127.0.0.1\r\nX-Original-URL: /v1/health\r\n",
            b"Cookie: key=" + KEY.encode() + b"\r\n",
            _RIGHT + b"Authorization: Bearer wrong\r\n",
        ]
    )
    if generator.random() < 0.3:
        return _request("POST", generator.choice(_POSTS), wrong, b'{"user": 1, "users": [1]}')
    return _request("GET", generator.choice(_ROUTES), wrong)


def _odd_path(generator: random.Random) -> bytes:
    up = generator.choice(["../", "..%2f", "%2e%2e/", "..%5c", "....//", "..;/", "%c0%ae%c0%ae/", "/%00/"])
    goal = generator.choice(["etc/passwd", "current", "manifest.json", "v1/metrics", "page/page.html"])
    start = generator.choice(["/", "/v1/", "/page.js/", "/v1/recommend/", "//"])
    head = _RIGHT if generator.random() < 0.5 else b""
    return _request("GET", start + up * generator.randint(1, 8) + goal, head)


def _odd_method(generator: random.Random) -> bytes:
    method = generator.choice(["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "get", "G" * 500])
    return _request(method, generator.choice(_ROUTES), _RIGHT)


def _odd_json(generator: random.Random) -> bytes:
    depth = generator.choice([100, 5_000, 100_000])
    body = generator.choice(
        [
            b"",
            b"{",
            b"null",
            b'"user"',
            b"[" * depth,
            b'{"user":' * depth,
            b'{"user": 1, "history": ' + b"[" * depth + b"]" * depth + b"}",
            b'{"user": ' + b"9" * generator.choice([20, 5_000]) + b"}",
            b'{"user": NaN}',
            b'{"user": 1, "n": Infinity}',
            b'{"user": 1, "n": 1e3}',
            b'{"user": 1, "n": -1}',
            b'{"user": 1, "n": 1000000}',
            b'{"user": true}',
            b'{"user": {}}',
            b'{"user": 1.5}',
            b'{"user": [1]}',
            b'{"user": {"$gt": 0}}',
            b'{"user": "\xff\xfe"}',
            b'{"user": "\\ud800"}',
            b'{"user": "\\u0000"}',
            b'{"user": ""}',
            b'{"user": 1, "__class__": "os.system"}',
            b'{"user": 1, "history": ["\\ud800", {}]}',
            b'{"users": [1, 1]}',
            b'{"users": []}',
            json.dumps({"users": list(range(1_000))}).encode(),
            json.dumps({"user": 1, "exclude": list(range(20_000))}).encode(),
            json.dumps({"user": "x" * 2_000}).encode(),
        ]
    )
    return _request("POST", generator.choice(_POSTS), _RIGHT, body)


def _odd_query(generator: random.Random) -> bytes:
    ids = (
        "",
        "%00",
        "%ff%fe",
        "1.0",
        "01",
        "%2B1",
        "1e3",
        "9" * 30,
        "x" * 2_000,
        "-",
        "1%0d%0aSet-Cookie:a=b",
        "%F0%9F%92%A9",
    )
    rest = ("n=0", "n=-1", "n=1000000", "n=abc", "repeats=all", "strict=maybe", "debug=1", "user[$ne]=1")
    value = generator.choice([*ids, *(f"1&{one}" for one in rest), "1;drop table users"])
    path = generator.choice(["/v1/recommend?user=", "/v1/users/similar?user=", "/v1/items/similar?item="])
    return _request("GET", (path + value).replace(" ", "%20"), _RIGHT)


def _odd_head(generator: random.Random) -> bytes:
    post = b"POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    return generator.choice(
        [
            _request("GET", _ROUTES[0], b"X: a\r\n b\r\n"),
            _request("GET", _ROUTES[0], b"X : a\r\n" + _RIGHT),
            _request("GET", _ROUTES[0], b"X\x00: a\r\n" + _RIGHT),
            _request("GET", _ROUTES[0], b"X: a\x00b\r\n" + _RIGHT),
            _request("GET", _ROUTES[0], b"X: " + b"a" * 100_000 + b"\r\n" + _RIGHT),
            _request("GET", _ROUTES[0], b"X: a\r\n" * 20_000 + _RIGHT),
            _request("GET", "/" + "a" * 100_000, _RIGHT),
            post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
            post + b"Content-Length: -1\r\n\r\n{}",
            post + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n{}",
            post + _RIGHT + b"Content-Length: 2000000\r\n\r\n" + b" " * 200_000,
            post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/metrics HTTP/1.1\r\n\r\n",
            post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            post + _RIGHT + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n{}",
            post + _RIGHT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            post + _RIGHT + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 20,
            b"GET " + _ROUTES[0].encode() + b"\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n",
            b"GET /v1/recommend?user=1 HTTP/1.1\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + generator.randbytes(200),
            generator.randbytes(generator.randint(1, 5_000)),
        ]
    )


_KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    _without_key,
    _odd_path,
    _odd_method,
    _odd_json,
    _odd_query,
    _odd_head,
)
