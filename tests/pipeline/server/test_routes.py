"""What is answered is what the Recommender gives; what cannot be is refused in words."""

import inspect
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from belfry import Recommender, train
from belfry.pipeline.server.requests import (
    MAX_ITEMS,
    MAX_LENGTH,
    MAX_N,
    MAX_USERS,
    ManyRequest,
    RecommendQuery,
    RecommendRequest,
)
from tests.pipeline.server.conftest import SETTINGS, Client


def places(recommendations):
    return [
        {"rank": one.rank, "item_id": one.item_id, "title": one.title, "score": one.score, "origin": one.origin}
        for one in recommendations
    ]


def without_reasons(answer):
    left_out = {"because", "expected_rating", "rating_deviation", "propensity"}
    return [{name: value for name, value in item.items() if name not in left_out} for item in answer["items"]]


def test_a_list_is_that_of_the_recommender(asked: TestClient, recommender: Recommender):
    answer = asked.get("/v1/recommend", params={"user": 3, "n": 4})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["run"], told["user"]) == (recommender.run.name, 3)
    assert without_reasons(told) == places(recommender.recommend(3, 4))
    assert {item["because"] for item in told["items"]} == {None}


def test_a_body_says_all_that_a_call_in_python_can(asked: TestClient, recommender: Recommender):
    asking = {"n": 3, "history": [101, 102], "exclude": [100, 999], "only": list(range(100, 120)), "repeats": "exclude"}
    answer = asked.post("/v1/recommend", json={"user": 3, **asking})
    assert without_reasons(answer.json()) == places(recommender.recommend(3, **asking))
    assert asked.post("/v1/recommend", json={"user": 3, "only": []}).json()["items"] == []


def test_rules_shape_a_list(asked: TestClient, recommender: Recommender):
    shaped = {"rules": {"deny": [100, 101], "pinned": [{"item_id": 105, "place": 2}]}, "where": "item_id < 115"}
    answer = asked.post("/v1/recommend", json={"user": 3, "n": 4, **shaped}).json()
    assert without_reasons(answer) == places(recommender.recommend(3, 4, **shaped))
    assert answer["items"][1]["item_id"] == 105
    many = asked.post("/v1/recommend/many", json={"users": [3], "n": 4, **shaped}).json()
    assert [one["item_id"] for one in many["lists"][0]["items"]] == [one["item_id"] for one in answer["items"]]


def test_chances_are_told_where_rules_explore(asked: TestClient, recommender: Recommender):
    rules = {"explore": {"share": 0.5, "seed": 3}}
    items = asked.post("/v1/recommend", json={"user": 3, "n": 4, "rules": rules}).json()["items"]
    chances = [one.propensity for one in recommender.recommend(3, 4, rules=rules)]
    assert [item["propensity"] for item in items] == chances and None not in chances
    many = asked.post("/v1/recommend/many", json={"users": [3], "n": 4, "rules": rules}).json()["lists"]
    assert [item["propensity"] for item in many[0]["items"]] == pytest.approx(chances)


@pytest.mark.parametrize(
    "wrong",
    [
        {"where": "year >"},
        {"where": "price < 3"},
        {"where": "x" * 3_000},
        {"rules": "rules.toml"},
        {"rules": {"pinned": [{"item_id": 105, "place": 0}]}},
        {"rules": {"nothing": 1}},
        {"rules": {"deny": [105], "pinned": [{"item_id": 105, "place": 1}]}},
    ],
)
def test_wrong_rules_are_told(asked: TestClient, wrong):
    for path, body in (("/v1/recommend", {"user": 3}), ("/v1/recommend/many", {"users": [3]})):
        assert asked.post(path, json=body | wrong).status_code == 422


@pytest.mark.parametrize("model", [RecommendQuery, RecommendRequest])
def test_fields_of_a_request_are_parameters_of_recommend(model):
    assert set(model.model_fields) <= set(inspect.signature(Recommender.recommend).parameters)


def test_fields_of_many_are_parameters_of_recommend_many():
    assert set(ManyRequest.model_fields) <= set(inspect.signature(Recommender.recommend_many).parameters)


def test_reasons_come_when_asked_for(asked: TestClient, recommender: Recommender):
    because = asked.get("/v1/recommend?user=3&n=1&explain=true").json()["items"][0]["because"]
    wanted = recommender.recommend(3, 1, explain=True)[0].because
    assert [(one["item_id"], one["share"]) for one in because["watched"]] == [
        (one.item_id, one.share) for one in wanted.watched
    ]


def test_many_lists_come_in_the_order_asked(asked: TestClient, recommender: Recommender):
    told = asked.post("/v1/recommend/many", json={"users": [5, 2, 777], "n": 3}).json()
    assert [one["user"] for one in told["lists"]] == [5, 2, 777]
    table = recommender.recommend_many([5, 2, 777], 3).to_pylist()
    rows = [{"user_id": one["user"], **item} for one in told["lists"] for item in one["items"]]
    without = {"expected_rating": None, "rating_deviation": None, "propensity": None}
    assert rows == [{**row, **without} for row in table]


def test_users_are_named_as_the_run_spells_them(tmp_path: Path, client: Client):
    events = pa.table({"user_id": [f"u{n % 9}" for n in range(90)], "item_id": [n % 14 for n in range(90)]})
    train(events, settings=SETTINGS, artifacts=tmp_path)
    asked = client(tmp_path)
    told = asked.post("/v1/recommend/many", json={"users": [" u1", "u2"], "n": 2}).json()["lists"]
    assert [(one["user"], len(one["items"])) for one in told] == [("u1", 2), ("u2", 2)]
    assert asked.get("/v1/recommend?user=%20u1&n=2").json()["items"][0]["origin"] != "cold"


def test_a_user_with_nothing_left_has_an_empty_list(asked: TestClient):
    told = asked.post("/v1/recommend/many", json={"users": [5], "only": []}).json()
    assert told["lists"] == [{"user": 5, "items": []}]


def test_neighbours(asked: TestClient, recommender: Recommender):
    items = asked.get("/v1/items/similar?item=105&n=3").json()["items"]
    assert [(one["item_id"], one["title"]) for one in items] == [
        (one.item_id, one.title) for one in recommender.similar_items(105, 3)
    ]
    users = asked.get("/v1/users/similar?user=5&n=3").json()["users"]
    assert [one["user_id"] for one in users] == [one.user_id for one in recommender.similar_users(5, 3)]


def test_an_unknown_user_is_cold_and_refused_under_strict_alone(asked: TestClient):
    cold = asked.get("/v1/recommend?user=777")
    assert {item["origin"] for item in cold.json()["items"]} == {"cold"}
    for answer in (
        asked.get("/v1/recommend?user=777&strict=true"),
        asked.post("/v1/recommend", json={"user": 777, "strict": True}),
        asked.get("/v1/users/similar?user=777"),
    ):
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_user")
    unknown = asked.get("/v1/items/similar?item=7")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_item")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body.user"),
        ({"user": 3, "n": 0}, "body.n"),
        ({"user": 3, "n": MAX_N + 1}, "body.n"),
        ({"user": 3, "n": 1.5}, "body.n"),
        ({"user": True}, "body.user"),
        ({"user": 2**63}, "body.user"),
        ({"user": ""}, "body.user"),
        ({"user": 3, "hystory": [1]}, "body.hystory"),
        ({"user": 3, "history": list(range(MAX_ITEMS + 1))}, "body.history"),
        ({"user": 3, "only": [1.5]}, "body.only.0"),
        ({"user": 3, "repeats": "all"}, "body.repeats"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(asked: TestClient, body, where):
    answer = asked.post("/v1/recommend", json=body)
    assert answer.status_code == 422
    assert any(problem["where"].startswith(where) for problem in answer.json()["problems"])


@pytest.mark.parametrize("context", ["device", "=tv", "a=1&context=a=2"])
def test_a_context_in_a_query_is_pairs_of_columns_each_once(asked: TestClient, context):
    answer = asked.get(f"/v1/recommend?user=3&context={context}")
    assert answer.status_code == 422
    assert all(problem["where"].startswith("query.context") for problem in answer.json()["problems"])


def test_a_vector_may_be_longer_than_a_list_of_words_ever_is(asked: TestClient):
    refused = asked.post("/v1/recommend", json={"user": None, "features": {"look": [0.5] * MAX_LENGTH}})
    assert "reads no column 'look' of users" in refused.json()["message"]
    longer = asked.post("/v1/recommend", json={"user": None, "features": {"look": [0.5] * (MAX_LENGTH + 1)}})
    assert longer.json()["problems"][0]["where"].startswith("body.features.look")


@pytest.mark.parametrize("users", [[], list(range(1, MAX_USERS + 2)), [1, 1], [1, "1"], 3])
def test_many_users_are_some_and_each_once(asked: TestClient, users):
    assert asked.post("/v1/recommend/many", json={"users": users}).status_code == 422


@pytest.mark.parametrize("text", ["01", "%2B1", "1.0", "x", "9" * 30, "%00", "%ff"])
def test_ids_in_a_query_are_written_as_in_a_table(asked: TestClient, text):
    answer = asked.get(f"/v1/recommend?user={text}")
    assert answer.status_code == 422
    assert "whole numbers" in answer.json()["message"]


def test_an_id_of_the_other_type_is_refused(asked: TestClient):
    answer = asked.post("/v1/recommend", json={"user": "3"})
    assert answer.status_code == 422
    assert "never merged" in answer.json()["message"]


def test_health_readiness_and_what_there_is_not(asked: TestClient, recommender: Recommender):
    assert asked.get("/v1/health").json() == {"status": "alive"}
    assert asked.get("/v1/ready").json() == {"ready": True, "run": recommender.run.name, "refused": False}
    for path in ("/v1", "/v2/recommend", "/docs", "/../etc/passwd"):
        assert (asked.get(path).status_code, asked.get(path).json()["error"]) == (404, "not_found")
    answer = asked.delete("/v1/recommend?user=1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_nobody_is_answered_before_a_run_is_there(client, tmp_path):
    (tmp_path / "empty").mkdir()
    asked = client(tmp_path / "empty")
    assert asked.get("/v1/health").status_code == 200
    ready = asked.get("/v1/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "run": None, "refused": True})
    answer = asked.get("/v1/recommend?user=1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_the_page_is_three_files_of_ours(asked: TestClient):
    kinds = {"/": "html", "/page.js": "javascript", "/page.css": "css"}
    for path, kind in kinds.items():
        answer = asked.get(path)
        assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
        assert "http:" not in answer.text
        assert "https:" not in answer.text


def test_somebody_in_no_table_is_answered_by_a_history_and_features(asked: TestClient, recommender: Recommender):
    answer = asked.post("/v1/recommend", json={"user": None, "n": 3, "history": [101, 102]}).json()
    assert answer["user"] is None
    assert without_reasons(answer) == places(recommender.recommend(None, 3, history=[101, 102]))
    nothing_known = asked.post("/v1/recommend", json={"user": None, "n": 3}).json()
    assert {item["origin"] for item in nothing_known["items"]} == {"cold"}
    unknown = asked.post("/v1/recommend", json={"user": None, "features": {"age": 31}})
    assert (unknown.status_code, "age" in unknown.json()["message"]) == (422, True)
