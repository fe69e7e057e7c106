"""Training on from a run: what is kept, what is trained on, what is anew, and what is refused."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import belfry
from belfry.dataset.errors import ArtifactError, InputError
from belfry.layers.saved.files import read_array
from belfry.pipeline.runs.reader import Run, current_run, open_run
from belfry.pipeline.serving.load import VECTORS_FILE
from belfry.pipeline.training.warm_start import since
from belfry.pipeline.training.warm_start.parent import Parent
from belfry.pipeline.training.warm_start.since import fold_since
from tests.pipeline.jobs.updating.world import LIGHT, QUICK, events, items, later, train

N_SINCE = 40
SOURCES = 'sources=[{model={kind="ease"}},{model={kind="item_knn"}, weight=0.5}]'
# The two towers train on for an epoch, and then by little: their vectors stay near those that they had.
SETTINGS = (*QUICK, SOURCES, "retrieval.learning_rate=0.0001", "retrieval.item_start=random")


def before() -> pa.Table:
    """All events but the newest."""
    return events()[: len(events()) - N_SINCE]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Towers, closed forms and a ranker; read it, and copy it to change it."""
    folder = tmp_path_factory.mktemp("parent")
    train(folder, *SETTINGS, interactions=before(), items=items())
    return folder


@pytest.fixture(scope="module")
def onward(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of all events, and of a new user and a new item, that goes on from `parent`."""
    folder = tmp_path_factory.mktemp("onward")
    train_on(folder, parent, with_new())
    return open_run(folder)


def train_on(folder: Path, parent: Path, interactions: pa.Table | None = None, **options: object) -> belfry.Recommender:
    interactions = events() if interactions is None else interactions
    return belfry.train(
        interactions,
        items([*range(2, 49, 2), 5]),
        artifacts=folder,
        start_from=parent,
        **options,  # type: ignore[arg-type]
    )


def with_new() -> pa.Table:
    """All events, and those of user 3 and item 5, which `parent` does not know."""
    return pa.concat_tables([events(), later([(3, 2), (3, 4), (3, 5), (2, 5), (4, 5), (6, 5)])])


def files_of(run: Run, folder: str) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in run.manifest.files.items() if name.startswith(folder)}


def vectors_of(run: Run) -> dict[int, np.ndarray]:
    """By item id, of the two towers."""
    recommender = belfry.Recommender.load(run.folder)
    vectors = read_array(run.path("serving/sources/two_tower") / VECTORS_FILE)
    return dict(zip(recommender.items.ids.to_pylist(), vectors[1:], strict=True))


def test_what_folds_decided_and_the_ranker_stay(parent: Path, onward: Run) -> None:
    old = open_run(parent)
    assert files_of(onward, "training/ranker/") == files_of(old, "training/ranker/") != {}
    for file in ("serving/ranker/ranker.onnx", "serving/ranker/score_blend.json", "serving/sources.json"):
        assert onward.manifest.files[file] == old.manifest.files[file]
    assert onward.manifest.config == old.manifest.config
    assert onward.manifest.gate == old.manifest.gate
    assert onward.manifest.notes["sources"] == old.manifest.notes["sources"]
    assert onward.manifest.notes["warm_start"] == {
        "parent": old.name,
        "from_nothing": old.name,
        "n_steps": 1,
        "trained_on": {"two_tower": 1},
        "anew": ["ease", "item_knn"],
        "kept": ["sources", "weights of sources", "ranker"],
        "gate_is_kept": True,
        "n_events_since": N_SINCE + 6,
    }


def test_towers_go_on_from_the_rows_that_items_had(parent: Path, onward: Run) -> None:
    old, new = vectors_of(open_run(parent)), vectors_of(onward)
    assert new.keys() == {*old, 5}
    assert max(np.abs(new[item] - old[item]).max() for item in old) < 0.01 < np.abs(old[2] - old[4]).max()


def test_all_else_is_of_all_events(parent: Path, onward: Run, tmp_path: Path) -> None:
    anew = train(tmp_path, *SETTINGS, interactions=with_new(), items=items([*range(2, 49, 2), 5])).run
    for folder in ("serving/sources/ease/", "serving/popularity/", "serving/ranker/pair_features/", "history/"):
        assert files_of(onward, folder) == files_of(anew, folder) != {}
        assert files_of(onward, folder) != files_of(open_run(parent), folder)


def test_new_users_and_items_are_known(onward: Run) -> None:
    recommender = belfry.Recommender.load(onward.folder)
    listed = [one.item_id for one in recommender.recommend(3, 30)]
    assert not {2, 4, 5} & set(listed)
    assert len(listed) == len(recommender.items) - 3
    assert 5 in [one.item_id for one in recommender.recommend(10, 30)]


def test_equal_seeds_give_equal_runs_and_steps_are_counted(parent: Path, onward: Run, tmp_path: Path) -> None:
    again = train_on(tmp_path / "again", parent, with_new()).run
    names = {name for name in onward.manifest.files if not name.endswith(".onnx")}  # graphs name their nodes by a count
    assert {name: again.manifest.files[name] for name in names} == {name: onward.manifest.files[name] for name in names}
    further = train_on(tmp_path / "further", onward.folder, with_new()).run.manifest.notes["warm_start"]
    old = open_run(parent).name
    assert (further["parent"], further["from_nothing"], further["n_steps"]) == (onward.name, old, 2)  # type: ignore[index,call-overload]


def test_an_updated_run_is_gone_on_from(parent: Path, tmp_path: Path) -> None:
    shutil.copytree(parent, tmp_path / "runs")
    belfry.update(tmp_path / "runs", later([(3, 2), (3, 5), (2, 5)]), items=items([5]))
    updated = current_run(tmp_path / "runs")
    old, new = vectors_of(open_run(parent)), vectors_of(train_on(tmp_path / "runs", updated, with_new()).run)
    assert max(np.abs(new[item] - old[item]).max() for item in old) < 0.01


@pytest.mark.parametrize(
    "settings",
    [
        LIGHT,
        (*QUICK, "sources=[]", "retrieval.kind=sequence", "retrieval.item_start=random"),
        (*QUICK, "sources=[]", "retrieval.kind=als", "ranker=none"),
        (*QUICK, "sources=[]", "retrieval.kind=multitask"),
        (*QUICK, "sources=[]", "repeats=allow", "retrieval.item_start=random"),
    ],
)
def test_other_kinds(settings: tuple[str, ...], tmp_path: Path) -> None:
    if "retrieval.kind=als" in settings:
        settings = tuple(one.replace("retrieval.embedding_size", "retrieval.factors") for one in settings)
    parent = train(tmp_path, *settings, interactions=before(), items=items())
    recommender = train_on(tmp_path, tmp_path, with_new())
    note = recommender.run.manifest.notes["warm_start"]
    trains_on = "retrieval.item_start=random" in settings
    assert len(note["trained_on"]) == trains_on  # type: ignore[arg-type,call-overload,index]
    assert recommender.recommend(3, 3)
    of_errors = [one.two_stage.ratings and one.two_stage.ratings.error_variance for one in (parent, recommender)]
    assert all(of_errors) == ("retrieval.kind=multitask" in settings)
    for one in filter(None, of_errors):
        np.testing.assert_array_equal(one.weights, of_errors[0].weights)
        assert len(one.of_users) in {len(parent.users) + 1, len(recommender.users) + 1}


def test_the_gate_is_judged_by_what_came_since(parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(since, "MIN_LISTS", 2)
    run = train_on(tmp_path, parent, with_new()).run
    assert run.manifest.gate != open_run(parent).manifest.gate
    assert run.manifest.gate.n_lists >= 2
    assert run.manifest.notes["warm_start"]["gate_is_kept"] is False  # type: ignore[index,call-overload]


def test_what_came_since_is_told_by_the_numbers_of_the_run(parent: Path, onward: Run) -> None:
    run = Parent.open(parent)
    now = belfry.Recommender.load(onward.folder).features.history
    fold = fold_since(run, now)
    assert fold is not None
    newest = events()[-N_SINCE:]
    wanted = set(zip(newest["user_id"].to_pylist(), newest["item_id"].to_pylist(), strict=True))
    of_users, of_items = run.features.history.users.take, run.features.history.items.take
    found = zip(of_users(fold.later.user_num).to_pylist(), of_items(fold.later.item_num).to_pylist(), strict=True)
    assert set(found) == wanted
    assert len(fold.later) == N_SINCE
    assert fold_since(run, run.features.history) is None


def test_the_settings_of_the_run_may_be_said_again_and_others_are_refused(parent: Path, tmp_path: Path) -> None:
    options = {"preset": "default", "settings": [*SETTINGS, "cold_weight=0.3"]}
    assert train_on(tmp_path, parent, **options).run.manifest.config["cold_weight"] == 0.3
    with pytest.raises(InputError, match=r"other settings: .*; retrieval\.embedding_size is '64' here and '8' in the"):
        train_on(tmp_path / "none", parent, settings=["n_candidates=10"])
    with pytest.raises(InputError, match=r"retrieval\.targets is"):
        train_on(tmp_path / "none", parent, settings=SETTINGS, holdout="random")
    assert not (tmp_path / "none").exists()


def test_other_ids_and_other_columns_are_refused(
    parent: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = items()
    as_text = table.set_column(0, "item_id", table["item_id"].cast(pa.string()))
    of_texts = events().set_column(1, "item_id", events()["item_id"].cast(pa.string()))
    far = events().set_column(1, "item_id", pa.array(events()["item_id"].to_numpy() + 1000))
    options = {"start_from": parent, "artifacts": tmp_path / "none"}
    with pytest.raises(InputError, match=r"item_id is string, in run .* it is int64"):
        belfry.train(of_texts, as_text, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="hold no item of run"):
        belfry.train(far, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"items: column 'genres' of run .* missing"):
        belfry.train(events(), table.drop_columns("genres"), **options)  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()
    with caplog.at_level(logging.WARNING):
        belfry.train(
            events(),
            table.append_column("colour", pa.array(["red", "blue"] * (len(table) // 2))),
            start_from=parent,
            artifacts=tmp_path,
        )
    assert "column 'colour' left out" in caplog.text


def test_rankers_that_cannot_go_on_are_refused(tmp_path: Path) -> None:
    knows_items = (*QUICK, "sources=[]", "ranker.kind=cross", "ranker.projection_size=2")
    train(tmp_path / "cross", *knows_items, interactions=before(), items=items())
    with pytest.raises(InputError, match="'cross' knows items by their numbers"):
        train_on(tmp_path / "cross", tmp_path / "cross", with_new())
    by_ratings = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "sources=[]", "ranker.kind=dot_regressor")
    train(tmp_path / "dot", *by_ratings, "ranker.epochs=1", interactions=before(), items=items())
    with pytest.raises(InputError, match="'dot_regressor' learns from ratings"):
        train_on(tmp_path / "dot", tmp_path / "dot")


def test_a_damaged_run_is_refused_and_the_last_one_stays(parent: Path, tmp_path: Path) -> None:
    shutil.copytree(parent, tmp_path / "runs")
    run = current_run(tmp_path / "runs")
    weights = run / "training" / "sources" / "two_tower" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"training/sources/two_tower/weights\.npz"):
        train_on(tmp_path / "runs", run)
    assert current_run(tmp_path / "runs") == run
    assert [path for path in (tmp_path / "runs").iterdir() if path.is_dir()] == [run]
