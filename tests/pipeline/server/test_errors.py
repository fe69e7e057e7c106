"""Whatever fails: a status that fits, and nothing of what is inside."""

import logging

import pytest

from belfry import Recommender
from belfry.dataset.errors import ArtifactError, BelfryError

SECRET = "/srv/secret/path.py"


@pytest.mark.parametrize(
    "error", [RuntimeError(SECRET), BelfryError(SECRET), ArtifactError(SECRET), MemoryError(SECRET)]
)
def test_a_defect_is_told_in_the_log_alone(client, monkeypatch, caplog, error):
    asked = client()

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Recommender, "recommend", fail)
    with caplog.at_level(logging.ERROR, "belfry"):
        answer = asked.get("/v1/recommend?user=1")
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal_error"
    assert SECRET not in answer.text
    (record,) = caplog.records
    assert SECRET in str(record.exc_info[1])
    assert record.fields == {"request_id": answer.headers["x-request-id"]}
    assert answer.headers["x-content-type-options"] == "nosniff"
    monkeypatch.undo()
    assert asked.get("/v1/recommend?user=1").status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"user": 1', b"\xff\xfe", b'{"user":' * 100_000, b'{"user": ' + b"9" * 5_000 + b"}"],
    ids=["empty", "open", "cut", "no text", "deep", "long number"],
)
def test_what_is_no_json_is_refused(asked, body):
    answer = asked.post("/v1/recommend", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"] in ("bad_request", "wrong_input")


@pytest.mark.parametrize("value", ["\\ud800", "\\u0000", "<script>alert(1)</script>", "\\u001b[31m", "x" * 900])
def test_what_was_sent_is_told_escaped_and_cut(asked, value):
    body = f'{{"user": "{value}", "{value}": 1}}'
    answer = asked.post("/v1/recommend", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert len(answer.text) < 2_000
    assert "\x1b" not in str(told)
    assert not [problem for problem in told["problems"] if len(problem["where"]) > 100]


def test_few_problems_are_told_of_many(asked):
    answer = asked.post("/v1/recommend", json={"user": 1, **{f"f{number}": 0 for number in range(100)}})
    assert len(answer.json()["problems"]) == 10
