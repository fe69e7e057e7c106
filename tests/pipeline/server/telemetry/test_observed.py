"""Each request: its headers, its line in the log, its figures."""

import json
import logging

from belfry.pipeline.server.telemetry.logs import ACCESS, JsonLines
from belfry.pipeline.server.telemetry.observed import HEADERS
from tests.pipeline.server.guards.test_admission import KEY, KEYS, bearer


def test_every_answer_has_the_headers_of_security(client):
    asked = client(keys=KEYS)
    for path in ("/v1/health", "/v1/none", "/v1/recommend?user=1", "/"):
        answer = asked.get(path, headers={"origin": "https://evil.example"})
        assert set(HEADERS) <= set(answer.headers)
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
        assert "unsafe" not in answer.headers["content-security-policy"]
    assert asked.get("/v1/health").headers["x-request-id"] != asked.get("/v1/health").headers["x-request-id"]


def test_a_line_for_each_request_holds_no_secret(client, caplog):
    asked = client(keys=KEYS)
    with caplog.at_level(logging.INFO, ACCESS):
        answer = asked.get("/v1/recommend?user=31&n=1", headers=bearer(KEY))
        asked.get("/v1/%0d%0aforged%1b[31m?key=" + KEY)
    lines = [JsonLines().format(record) for record in caplog.records if record.name == ACCESS]
    first, second = map(json.loads, lines)
    assert first["request_id"] == answer.headers["x-request-id"]
    wanted = {"client": "shop", "method": "GET", "path": "/v1/recommend", "status": 200, "run": answer.json()["run"]}
    assert {name: first[name] for name in wanted} == wanted
    assert first["ms"] > 0
    assert (second["client"], second["status"]) == ("127.0.0.1", 401)
    assert not [line for line in lines if KEY in line or "31&" in line or "\n" in line or "\x1b" in line]


def test_the_log_can_be_switched_off(client, caplog):
    with caplog.at_level(logging.INFO, ACCESS):
        client(access_log=False).get("/v1/health")
    assert not [record for record in caplog.records if record.name == ACCESS]


def test_metrics_count_requests_by_route(client):
    asked = client()
    asked.get("/v1/recommend?user=1")
    asked.get("/v1/recommend?user=777")
    asked.get("/v1/recommend?user=x")
    asked.get("/anything/else")
    answer = asked.get("/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'belfry_requests_total{method="GET",route="/v1/recommend",status="200"} 2.0' in lines
    assert 'belfry_requests_total{method="GET",route="/v1/recommend",status="422"} 1.0' in lines
    assert 'belfry_requests_total{method="GET",route="none",status="404"} 1.0' in lines
    assert 'belfry_request_seconds_count{route="/v1/recommend"} 3.0' in lines
    assert "belfry_cold_lists_total 1.0" in lines
    assert 'belfry_swaps_total{outcome="taken_up"} 1.0' in lines
    assert "belfry_requests_waiting 1.0" in lines  # this one


def test_a_traceback_is_in_the_log_on_one_line():
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        record = logging.LogRecord("belfry", logging.ERROR, "", 1, "failed %s", ("x\n",), (type(error), error, None))
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "ValueError: first" in json.loads(line)["traceback"]
