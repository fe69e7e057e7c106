"""The documentation of the interface says what is so: every example fits, and thousands of made-up requests."""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.serving.server import served
from tests.pipeline.server.conftest import free_port
from tests.pipeline.server.guards.test_admission import KEYS

ASKING = (
    "GET /v1/recommend",
    "POST /v1/recommend",
    "POST /v1/recommend/many",
    "GET /v1/items/similar",
    "GET /v1/users/similar",
)
MADE_UP = [
    *((operation, mode) for operation in ASKING for mode in ("POSITIVE", "NEGATIVE")),
    ("GET /v1/ready", "POSITIVE"),
    ("GET /v1/metrics", "POSITIVE"),
]


@pytest.fixture
def schema(asked):
    return asked.get("/v1/openapi.json").json()


def test_it_lists_every_route_and_no_page(schema):
    assert set(schema["paths"]) == {
        "/v1/recommend",
        "/v1/recommend/many",
        "/v1/items/similar",
        "/v1/users/similar",
        "/v1/health",
        "/v1/ready",
        "/v1/metrics",
    }
    text = json.dumps(schema)
    assert "HTTPValidationError" not in text  # ours has another form


def test_keys_are_part_of_it_where_they_are_asked_for(client, schema):
    told = client(keys=KEYS).get("/v1/openapi.json").json()
    assert told["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    assert told["security"] == [{"key": []}]
    assert "security" not in schema


@pytest.mark.parametrize("name", ["RecommendRequest", "ManyRequest"])
def test_examples_are_answered(asked, schema, name):
    path = {"RecommendRequest": "/v1/recommend", "ManyRequest": "/v1/recommend/many"}[name]
    examples = schema["components"]["schemas"][name]["examples"]
    assert examples
    for example in examples:
        assert asked.post(path, json=example).status_code == 200, example


@pytest.fixture(scope="module")
def address(published, tmp_path_factory):
    """Of a server."""
    folder, port = tmp_path_factory.mktemp("fuzzed"), free_port()
    with served(published, folder, "--rate", "1e6", port=port) as server:
        yield f"http://127.0.0.1:{port}"
        assert server.stop() == 0
    assert "traceback" not in server.log.read_text()


@pytest.mark.parametrize(("operation", "mode"), MADE_UP)
def test_made_up_requests_are_answered_as_documented(address, operation, mode):
    """Right ones and wrong ones; status, headers and body are held against the documentation.

    Left out: that right ones are accepted. Of which type ids are is up to the run, which the documentation cannot say.
    """
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install .[test]")
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    method, path = operation.split()
    documented = schemathesis.openapi.from_url(f"{address}/v1/openapi.json")[path][method]

    @given(case=documented.as_strategy(schemathesis.GenerationMode[mode]))
    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case):
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check()
