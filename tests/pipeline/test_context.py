"""Lists in a context: learned where it matters and nowhere else, asked for in every way, moved by updates, sealed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

import belfry
from belfry import Recommender, recommend
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import prepare
from belfry.dataset.split import split_random
from belfry.dataset.validation.check import check
from belfry.pipeline.cli.commands import app
from belfry.pipeline.config import load_config
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.runs.reader import current_run
from belfry.pipeline.server.app import create_app
from belfry.pipeline.server.settings import Settings
from belfry.pipeline.training.publish import train_and_publish
from tests.attacks.resealing import reseal
from tests.pipeline.context_world import CHANCE, DEVICES, TASTE, context_tables

SETTINGS = (
    *("retrieval.kind=pure_svd", "retrieval.embedding_size=16", "folds=2", "n_candidates=40", "sources=[]"),
    *("ranker.epochs=1", "ranker.min_steps=40", "ranker.members=1", "ranker.widths=[16]"),
)
ASK = f'data.context_columns=["{TASTE}", "{CHANCE}"]'
PHONE, TV = ({TASTE: device} for device in DEVICES)
STRANGER = 99


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Interactions]:
    """The train part of a world with devices, published; and the test part."""
    config = load_config("default", holdout="random", settings=[*SETTINGS, ASK])
    data = prepare(check(context_tables(), config.data)[0])
    split, folder = split_random(data.interactions, seed=0), tmp_path_factory.mktemp("context")
    data = replace(data, interactions=split.train)
    train_and_publish(data, config, preset="default", holdout="random", seed=0, artifacts=folder)
    return folder, split.test


@pytest.fixture(scope="module")
def recommender(artifacts: tuple[Path, Interactions]) -> Recommender:
    return Recommender.load(artifacts[0])


@pytest.fixture(scope="module")
def users(recommender: Recommender) -> list[int]:
    ids: list[int] = recommender.users.ids.to_pylist()
    return ids


def items_of(lists: list[belfry.Recommendation]) -> list[tuple[object, float]]:
    return [(one.item_id, one.score) for one in lists]


def test_the_right_context_makes_better_lists_and_the_wrong_one_worse(
    artifacts: tuple[Path, Interactions], recommender: Recommender
) -> None:
    assert recommender.two_stage.context is not None
    assert recommender.two_stage.context.columns == (TASTE,)  # and not the weather, which is by chance
    test = artifacts[1]

    def hits(context_of: dict[str, dict[str, str] | None]) -> float:
        """Of the ten best, on the device that each watch of the test part was on."""
        found = []
        for number, device in enumerate(test.context[TASTE].values, 1):
            later = test.select(test.context[TASTE].numbers == number)
            ids = test.users.take(np.unique(later.user_num))
            table = recommender.recommend_many(ids, 10, context=context_of[device])
            user, item = (one.numbers(table[name]) for one, name in ((test.users, "user_id"), (test.items, "item_id")))
            found.append(later.seen_items.contains(user, item).sum() / len(later))
        return float(np.mean(found))

    without = hits(dict.fromkeys(DEVICES))
    right, wrong = hits({"phone": PHONE, "tv": TV}), hits({"phone": TV, "tv": PHONE})
    assert right > without + 0.05
    assert wrong < 0.7 * without


def test_a_context_that_is_absent_unknown_or_of_no_use_changes_nothing(
    recommender: Recommender, users: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    for user in (users[0], STRANGER):
        plain = recommender.recommend(user, 10)
        for context in ({}, {TASTE: None}, {TASTE: "fridge"}, {CHANCE: "wet"}):
            assert recommender.recommend(user, 10, context=context) == plain
        assert items_of(recommender.recommend(user, 10, context=TV)) != items_of(plain)
    assert "knows no 'fridge'; taken for absent" in caplog.text
    assert f"context: '{CHANCE}' was not learned in training, and changes nothing here" in caplog.text


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"devise": "tv"}, r"reads no column 'devise' of events, there are 'device', 'weather'"),
        ({"timestamp_s": 5}, r"reads no column 'timestamp_s'"),  # there is no hour, and no weekday
        ({TASTE: ["tv"]}, r"column 'device' holds one value, \['tv'\] is none"),
        ({TASTE: object()}, r"holds one value"),
        ({TASTE: 10**400}, r"holds one value, 1000000"),
        ("tv", r"context='tv': wanted names and values"),
    ],
)
def test_what_no_event_could_hold_is_refused(recommender: Recommender, context: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recommender.recommend(STRANGER, 1, context=context)  # type: ignore[arg-type]


def test_many_users_in_one_context_and_each_in_their_own(recommender: Recommender, users: list[int]) -> None:
    asked = [*users[:5], STRANGER]
    alone = {(user, name): recommender.recommend(user, 5, context=one) for user in asked for name, one in ALL.items()}
    together = recommender.recommend_many(asked, 5, context=TV)
    assert together["item_id"].to_pylist() == [one.item_id for user in asked for one in alone[user, "tv"]]
    devices = ["tv", "phone", None, "phone", "fridge", "phone"]
    own = recommender.recommend_many(pa.table({"user_id": asked, TASTE: devices}), 5, context=TV)
    names = ["tv", "phone", "tv", "phone", "tv", "phone"]  # where the table does not say, what is said for all
    wanted = [one for user, name in zip(asked, names, strict=True) for one in alone[user, name]]
    assert own["item_id"].to_pylist() == [one.item_id for one in wanted]
    np.testing.assert_allclose(own["score"].to_numpy(), [one.score for one in wanted], rtol=1e-5)


ALL = {"tv": TV, "phone": PHONE, "none": {}}


def test_a_batch_in_a_context(recommender: Recommender, users: list[int], tmp_path: Path) -> None:
    table = pa.table({"user_id": [*users[:3], STRANGER], TASTE: ["tv", "phone", None, "phone"]})
    for context, wanted in ((None, ["tv", "phone", "none", "phone"]), (TV, ["tv", "phone", "tv", "phone"])):
        result = write_batch(recommender, tmp_path / str(context), users=table, n=5, context=context)
        asked = zip([*users[:3], STRANGER], wanted, strict=True)
        lists = [recommender.recommend(user, 5, context=ALL[name]) for user, name in asked]
        assert pq.read_table(result.path)["item_id"].to_pylist() == [one.item_id for own in lists for one in own]


def test_rules_reasons_features_and_fresh_watches_go_with_a_context(recommender: Recommender, users: list[int]) -> None:
    genres = "'drama' in genres or 'comedy' in genres"
    within = recommender.recommend(users[0], 5, context=TV, where=genres)
    every = [one.item_id for one in recommender.recommend(users[0], 100, context=TV)]
    assert [one.item_id for one in within] == [item for item in every if item in {one.item_id for one in within}]
    because = [one.because for one in recommender.recommend(users[0], 5, context=TV, explain=True)]
    assert any(effect.feature == "the context" and effect.change > 0 for one in because for effect in one.features)  # type: ignore[union-attr]
    cold = [one.because for one in recommender.recommend(STRANGER, 5, context=TV, explain=True)]
    assert any(effect.feature == "the context" for one in cold for effect in one.features)  # type: ignore[union-attr]
    fresh = recommender.recommend(STRANGER, 5, history=every[:3], context=TV)
    assert items_of(fresh) != items_of(recommender.recommend(STRANGER, 5, history=every[:3], context=PHONE))


def test_on_the_command_line_and_over_http(
    artifacts: tuple[Path, Interactions], recommender: Recommender, users: list[int], tmp_path: Path
) -> None:
    wanted = [one.item_id for one in recommender.recommend(users[0], 3, context=TV)]
    assert [one.item_id for one in recommend(users[0], 3, context=TV, artifacts=artifacts[0])] == wanted
    titles = [one.title for one in recommender.recommend(users[0], 3, context=TV)]
    told = CliRunner().invoke(
        app, ["recommend", str(users[0]), "-n", "3", "--context", "device=tv", "--artifacts", str(artifacts[0])]
    )
    assert told.exit_code == 0, told.output
    assert all(str(title) in told.output for title in titles)
    args = ["batch", "--artifacts", str(artifacts[0]), "--out", str(tmp_path), "-n", "3", "--quiet"]
    args += ["--context", "device=tv"]
    assert CliRunner().invoke(app, args).exit_code == 0
    table = pq.read_table(tmp_path / "recommendations.parquet")
    assert table["item_id"].to_pylist()[:3] == wanted
    with TestClient(
        create_app(Settings(artifacts=artifacts[0])), base_url="http://localhost", client=("127.0.0.1", 1)
    ) as client:
        body = {"user": users[0], "n": 3, "context": TV}
        assert [one["item_id"] for one in client.post("/v1/recommend", json=body).json()["items"]] == wanted
        query = f"/v1/recommend?user={users[0]}&n=3&context=device=tv"
        assert [one["item_id"] for one in client.get(query).json()["items"]] == wanted
        assert client.get(f"{query}&context=weather=dry&context=device=phone").status_code == 422
        many = client.post("/v1/recommend/many", json={"users": users[:1], "n": 3, "context": TV}).json()
        assert [one["item_id"] for one in many["lists"][0]["items"]] == wanted
        refused = client.post("/v1/recommend", json={"user": users[0], "context": {"devise": "tv"}})
        assert refused.status_code == 422
        assert "reads no column 'devise'" in refused.text


def test_an_update_moves_what_is_known_of_a_context(
    artifacts: tuple[Path, Interactions], recommender: Recommender, users: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts"
    shutil.copytree(artifacts[0], folder)
    history = recommender.features.history
    item = recommender.items.ids[int(history.item_counts[1:].argmin())].as_py()
    number = recommender.items.number(item)
    who = [user for user in users if number not in history.seen_items.of(recommender.users.number(user))]
    newest = int(history.timestamp_s.max())  # type: ignore[union-attr]
    events = pa.table(
        {
            "user_id": who,
            "item_id": [item] * len(who),
            "timestamp_s": newest + np.arange(len(who)),
            TASTE: ["tv"] * len(who),
        }
    )
    belfry.update(folder, events)
    again = Recommender.load(folder)
    column = again.features.history.context[TASTE]
    assert column.values == history.context[TASTE].values
    is_new = (again.features.history.item_num == number) & (again.features.history.timestamp_s >= newest)
    assert is_new.sum() == len(who)
    assert (column.numbers[is_new] == 2).all()
    before, after = recommender.two_stage.context, again.two_stage.context
    assert before is not None
    assert after is not None
    assert after.weights == before.weights
    assert after.statistics.lifts[TASTE][2, number] > before.statistics.lifts[TASTE][2, number] + 0.2
    later = pa.array(newest + 10**5 + np.arange(len(who)))
    belfry.update(folder, events.drop_columns(TASTE).set_column(2, "timestamp_s", later))
    at_last = Recommender.load(folder).features.history
    is_later = at_last.timestamp_s >= newest + 10**5
    assert is_later.sum() == len(who)
    assert not at_last.context[TASTE].numbers[is_later].any()


def test_training_on_keeps_the_weights(
    artifacts: tuple[Path, Interactions], recommender: Recommender, tmp_path: Path
) -> None:
    tables = context_tables()
    onward = belfry.train(
        tables.interactions, items=tables.items, users=tables.users, start_from=artifacts[0], artifacts=tmp_path
    )
    assert onward.two_stage.context is not None
    assert onward.two_stage.context.weights == recommender.two_stage.context.weights  # type: ignore[union-attr]
    assert items_of(onward.recommend(STRANGER, 5, context=TV)) != items_of(onward.recommend(STRANGER, 5, context=PHONE))


def test_values_that_do_not_fit_the_numbers_are_refused(artifacts: tuple[Path, Interactions], tmp_path: Path) -> None:
    run = current_run(artifacts[0])
    about = {"rows_in_order": False, "context": {TASTE: ["tv"], CHANCE: ["dry", "wet"]}}
    resealed = reseal(run, tmp_path, **{"history.json": json.dumps(about).encode()})
    with pytest.raises(ArtifactError, match=r"history: context 'device' has other values than history.json says"):
        Recommender.load(resealed)


@pytest.mark.parametrize(
    ("settings", "holdout", "told"),
    [
        (("ranker=none",), "time", "a context is learned behind a ranker of lists, and here there is none"),
        ((), "random", "under holdout random: events of one sitting share their context"),
    ],
)
def test_training_warns_where_a_context_cannot_be_learned_or_may_fool_it(
    settings: tuple[str, ...], holdout: str, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    belfry.train(
        context_tables(n_users=30, n_items=40, n_watches=500).interactions,
        settings=[*SETTINGS, ASK, *settings],
        holdout=holdout,  # type: ignore[arg-type]
        artifacts=tmp_path,
    )
    assert told in caplog.text
    assert Recommender.load(tmp_path).recommend(STRANGER, 3, context=TV)
