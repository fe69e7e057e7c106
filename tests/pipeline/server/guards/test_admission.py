"""Who is let in: by key where keys are asked for, from this machine where not, and no faster than agreed."""

import hashlib

import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.server.guards.admission import OPEN_PATHS
from belfry.pipeline.server.guards.keys import ApiKeys
from belfry.pipeline.server.settings import Settings

KEY = "0123456789abcdef0123456789"
KEYS = ApiKeys((("shop", hashlib.sha256(KEY.encode()).digest()),))
GUARDED = ("/v1/recommend?user=1", "/v1/items/similar?item=100", "/v1/users/similar?user=1", "/v1/metrics", "/v1/none")


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "headers",
    [{}, bearer(""), bearer(KEY[:-1]), {"authorization": KEY}, {"authorization": f"Basic {KEY}"}, {"x-api-key": KEY}],
)
def test_nobody_gets_in_without_a_key(client, path, headers):
    answer = client(keys=KEYS).get(path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "no_key")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_lets_in_from_any_host_and_the_page_needs_none(client):
    asked = client(keys=KEYS)
    assert asked.get("/v1/recommend?user=1", headers={**bearer(KEY), "host": "lists.example"}).status_code == 200
    assert asked.get("/v1/recommend?user=1", headers={"authorization": f"bearer  {KEY}"}).status_code == 200
    for path in OPEN_PATHS:
        assert asked.get(path).status_code == 200, path


def test_two_keys_are_none(client):
    asked = client(keys=KEYS)
    headers = [("authorization", f"Bearer {KEY}"), ("authorization", "Bearer other")]
    assert asked.get("/v1/metrics", headers=headers).status_code == 401


def test_without_keys_a_page_of_another_name_cannot_ask(client):
    """A name that leads to this machine would let any site read lists (DNS rebinding)."""
    asked = client()
    for host in ("localhost", "localhost:8080", "127.0.0.1", "LOCALHOST", "[::1]:80"):
        assert asked.get("/v1/ready", headers={"host": host}).status_code == 200, host
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil:localhost", "", "::1"):
        answer = asked.get("/v1/recommend?user=1", headers={"host": host})
        assert (answer.status_code, answer.json()["error"]) == (400, "wrong_host"), host
    assert client(for_everybody=True).get("/v1/ready", headers={"host": "evil.example"}).status_code == 200


def test_requests_beyond_the_rate_wait(client):
    asked = client(rate=1)
    statuses = [asked.get("/v1/health").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    answer = asked.get("/v1/health")
    assert answer.json()["error"] == "too_many_requests"
    assert answer.headers["retry-after"] == "1"


def test_guesses_at_keys_are_counted_by_address_and_disturb_no_owner(client):
    asked = client(keys=KEYS, rate=1)
    assert [asked.get("/v1/metrics", headers=bearer(f"guess{number}")).status_code for number in range(3)] == [
        401,
        401,
        429,
    ]
    assert asked.get("/v1/metrics", headers=bearer(KEY)).status_code == 200


def test_a_head_is_bounded(client):
    answer = client().get("/v1/health", headers={"x": "a" * 40_000})
    assert (answer.status_code, answer.json()["error"]) == (431, "too_large")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_network_is_served_with_keys_or_when_it_is_said(tmp_path, host):
    with pytest.raises(InputError, match=f"--host {host}: other machines could reach it"):
        Settings(tmp_path, host=host).check()
    Settings(tmp_path, host=host, keys=KEYS).check()
    Settings(tmp_path, host=host, for_everybody=True).check()
    with pytest.raises(InputError, match="contradicts"):
        Settings(tmp_path, host=host, keys=KEYS, for_everybody=True).check()
