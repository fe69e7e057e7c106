"""Every verb on runs at an address: what it writes is there, and what it says names the address."""

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from belfry import Recommender, compare, recommend, train, update
from belfry.dataset.sources.demo import generate
from belfry.pipeline.cli.commands import app
from belfry.pipeline.jobs.look.explore import explore
from belfry.pipeline.runs.reader import current_run
from belfry.pipeline.serving import current
from tests.pipeline.jobs.updating.world import LIGHT, N_ITEMS, N_USERS, events, items, later
from tests.pipeline.runs.remote.conftest import (  # noqa: F401
    Place,
    memory_place,
    own_cache,
    place,
    s3,
    s3_place,
    s3_server,
)

AFTERWARDS = later([(2 * user, 2 * item) for user in range(1, N_USERS + 1) for item in range(1, N_ITEMS + 1)])


def answer(*words: object) -> str:
    result = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def trained(memory_place: Place) -> Recommender:  # noqa: F811
    return train(events(), items(), settings=LIGHT, artifacts=memory_place.address)


def test_training_answering_and_updating(place: Place, tmp_path: Path) -> None:  # noqa: F811
    pq.write_table(events(), tmp_path / "events.parquet")
    pq.write_table(later([(2, 48), (4, 46)]), tmp_path / "later.parquet")
    settings = [word for setting in LIGHT for word in ("--set", setting)]
    told = answer(
        "train", "--interactions", tmp_path / "events.parquet", *settings, "--artifacts", place.address, "--quiet"
    )
    first = current_run(place.path).name
    assert f"published {place.address}/{first}\n" in told
    assert answer("recommend", 2, "-n", 3, "--artifacts", place.address).startswith("user 2")
    told = answer("update", place.address, "--interactions", tmp_path / "later.parquet", "--quiet")
    second = current_run(place.path).name
    assert second != first
    assert f"published {place.address}/{second} in" in told
    told = answer("update", f"{place.address}/{second}", "--interactions", tmp_path / "later.parquet", "--quiet")
    assert f"nothing is new, so nothing is published: {place.address}/{second}\n" in told
    lists = tmp_path / "lists"
    answer("batch", "--artifacts", place.address, "--out", lists, "-n", 3, "--quiet")
    assert pq.read_metadata(lists / "recommendations.parquet").metadata[b"belfry.run"].decode() == second


def test_evaluations_lie_beside_the_runs(place: Place, tmp_path: Path) -> None:  # noqa: F811
    run = train(events(), settings=LIGHT, artifacts=place.address).run.name
    pq.write_table(AFTERWARDS, tmp_path / "later.parquet")
    told = answer("evaluate", "--test", tmp_path / "later.parquet", "--artifacts", place.address, "--quiet")
    assert f"written to {place.address}/evaluations/{run}\n" in told
    assert json.loads(place.read(f"evaluations/{run}/evaluation.json"))["run"] == run
    assert place.read(f"evaluations/{run}/evaluation.md").startswith(b"#")


def test_the_main_job(place: Place, tmp_path: Path) -> None:  # noqa: F811
    tables = generate(n_users=60, n_items=50, n_watches=1_000, seed=1)
    pq.write_table(tables.interactions, tmp_path / "interactions.parquet")
    settings = [word for setting in LIGHT for word in ("--set", setting)]
    told = answer("run", "--data", tmp_path, *settings, "-n", 3, "--artifacts", place.address, "--quiet")
    run = current_run(place.path).name
    assert f"run         {place.address}/{run}\n" in told
    assert f"evaluation  {place.address}/{run}/evaluation.md\n" in told
    pointer = json.loads(place.read(f"recommendations/{run}/current.json"))
    assert pointer["run"] == run
    assert f"table       {place.address}/recommendations/{run}" in told
    assert pq.read_table(pa.BufferReader(place.read(f"recommendations/{run}/{pointer['table']}"))).num_rows > 0


def test_a_recommender_is_pickled_as_its_address(trained: Recommender, memory_place: Place) -> None:  # noqa: F811
    assert trained.run.address == f"{memory_place.address}/{trained.run.name}"
    assert str(trained.run.folder) not in (pickled := pickle.dumps(trained)).decode("latin-1")
    assert pickle.loads(pickled).recommend(2, 3) == trained.recommend(2, 3)


def test_other_verbs(
    trained: Recommender,
    memory_place: Place,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BELFRY_ARTIFACTS", memory_place.address)
    assert Recommender.load().run.name == trained.run.name
    grown = train(pa.concat_tables([events(), later([(2, 48)])]), items(), start_from=memory_place.address)
    assert grown.run.address == f"{memory_place.address}/{grown.run.name}"
    pair = (f"{memory_place.address}/{trained.run.name}", memory_place.address)
    report = compare(*pair, train=events(), test=AFTERWARDS, out=tmp_path / "report")
    assert len(report.challengers) == 1
    assert explore(memory_place.address, n_users=2).name == grown.run.name
    assert f"current run at {memory_place.address}" in CliRunner().invoke(app, ["doctor"]).output


def test_a_function_looks_seldom_at_which_run_is_current(
    trained: Recommender,
    memory_place: Place,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def origin() -> str:
        recommend(2, 3, artifacts=memory_place.address)
        return current._loaded[memory_place.path].run.name

    assert origin() == trained.run.name
    newer = update(memory_place.address, later([(2, 48)])).run
    monkeypatch.setattr(current, "LOOK_AT_ADDRESS_S", 1_000.0)
    current._looked_at_s[memory_place.path] = current.time.monotonic()
    assert origin() == trained.run.name
    monkeypatch.setattr(current, "LOOK_AT_ADDRESS_S", 0.0)

    def away(*_arguments: object, **_options: object) -> None:
        raise OSError("nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(type(memory_place.files), "cat_file", away)
        assert origin() == trained.run.name
    assert f"run {trained.run.name} goes on answering: {memory_place.address}: OSError: nobody answers" in caplog.text
    assert origin() == newer
