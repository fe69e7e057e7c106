"""`update`: a run and what came since become the run that a computation over all events gives, but for weights."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import belfry
from belfry.dataset.errors import ArtifactError, InputError, TableError
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.saved.files import ReadablePath, load_arrays
from belfry.layers.towers.ridge import ridge
from belfry.pipeline.config import PipelineConfig, SourceConfig
from belfry.pipeline.jobs.evaluate import evaluate_published
from belfry.pipeline.jobs.updating import moved
from belfry.pipeline.jobs.updating import update as job
from belfry.pipeline.jobs.updating.update import LOCK, update
from belfry.pipeline.runs import writer
from belfry.pipeline.runs.data.tables import load_tables
from belfry.pipeline.runs.lock import hold
from belfry.pipeline.runs.reader import current_run, open_run
from belfry.pipeline.serving import load
from belfry.ranking.features.pair_features import PairFeatures
from belfry.retrieval.index.base import CandidateIndex, Vectors
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.models.ease import EASE
from belfry.retrieval.popularity import Popularity
from tests.pipeline.jobs.updating.world import LIGHT, QUICK, SOURCES, START_S, events, items, later, train

NEW_USERS = [(1, 4), (1, 6), (1, 8), (15, 2), (15, 10)]  # ids between those that there are


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Towers, closed forms and a ranker; read it, and copy it to change it."""
    folder = tmp_path_factory.mktemp("deep")
    train(folder, *QUICK, SOURCES, items=items())
    return folder


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    train(folder, items=items())
    return folder


def tables_of(run: Path) -> dict[str, list[object]]:
    """The events of a run by their ids."""
    return (
        load_tables(open_run(run).root)[0]
        .history.to_table()
        .sort_by([("user_id", "ascending"), ("item_id", "ascending")])
        .to_pydict()
    )


def test_statistics_are_those_of_all_events(deep: Path, tmp_path: Path) -> None:
    fresh = later([*NEW_USERS, (4, 2), (4, 4), (6, 11)])
    done = update(deep, fresh, artifacts=tmp_path)
    assert done.is_published
    assert (done.folded.n_given, done.folded.n_added, done.n_new_users, done.n_new_items) == (8, 8, 2, 1)
    run = open_run(tmp_path)
    features, titles = load_tables(run.root)
    everything = pa.concat_tables([events(), fresh.cast(events().schema)])
    assert tables_of(tmp_path) == everything.sort_by([("user_id", "ascending"), ("item_id", "ascending")]).to_pydict()
    assert titles[features.history.items.number(4) - 1].as_py() == "title 4"
    assert titles[features.history.items.number(11) - 1].as_py() is None
    config = PipelineConfig.model_validate(run.manifest.config)
    expected = PairFeatures.fit(features, config.pair_features).arrays
    found = load_arrays(run.root / "serving" / "ranker" / "pair_features")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    ease = EASE.load(run.root / "serving" / "sources" / "ease").learned["weights"]
    np.testing.assert_array_equal(
        ease, EASE(config.sources[0].model).fit(features.history, features, seed=0).learned["weights"]
    )  # type: ignore[arg-type]
    popular = Popularity.load(run.root / "serving" / "popularity").learned.common
    np.testing.assert_array_equal(
        popular, Popularity(config.popularity).fit(features.history, features, seed=0).learned.common
    )


def test_weights_stay_and_move_with_their_ids(deep: Path, tmp_path: Path) -> None:
    before = belfry.Recommender.load(deep)
    update(deep, later([*NEW_USERS, (4, 11)]), items([11]), artifacts=tmp_path)
    after = belfry.Recommender.load(tmp_path)
    same_items = after.items.numbers(before.items.ids)
    np.testing.assert_array_equal(after.two_stage.vectors[same_items], before.two_stage.vectors[1:])
    untouched = [user for user in before.users.ids.to_pylist() if user != 4]
    queries = [
        one.two_stage.towers.encode_queries(one.users.numbers(pa.array(untouched)), one.features)
        for one in (before, after)
    ]
    np.testing.assert_array_equal(*queries)
    for name, entry in open_run(deep).manifest.files.items():
        if name.startswith("training/"):
            assert open_run(tmp_path).manifest.files[name] == entry, name


def test_new_users_are_known_and_new_items_are_listed(deep: Path, tmp_path: Path) -> None:
    watchers = [(user, 11) for user in range(2, 31, 2)]
    update(deep, later([*watchers, *NEW_USERS, (1, 12)]), artifacts=tmp_path)
    after = belfry.Recommender.load(tmp_path)
    personal = after.recommend(1, 5)
    assert {one.origin for one in personal} != {"cold"}
    assert not {one.item_id for one in personal} & {4, 6, 8, 12}
    assert belfry.Recommender.load(deep).recommend(1, 5)[0].origin == "cold"
    found = after.recommend_many(after.users.ids, 10)
    assert 11 in found["item_id"].to_pylist()


def test_new_items_are_placed_by_their_features(deep: Path, tmp_path: Path) -> None:
    rows = items([11, 13]).append_column("unheard_of", pa.array([1, 2]))
    done = update(deep, later([(4, 11), (6, 17)]), rows, artifacts=tmp_path)
    assert (done.n_new_items, done.n_placed) == (3, 2)
    before, after = belfry.Recommender.load(deep), belfry.Recommender.load(tmp_path)
    stages, features = after.two_stage, after.features
    placed = after.items.numbers(pa.array([11, 13]))
    known = after.items.numbers(before.items.ids)
    weights = np.zeros(len(after.items) + 1)
    weights[known] = np.sqrt(np.bincount(before.features.history.item_num)[1:])
    regressors = (features.items.matrix > 0).astype(np.float32)
    slopes = ridge(regressors, stages.vectors, weights)
    expected = regressors[placed] @ slopes
    expected[:, -1] += np.log(PipelineConfig().new_items)  # as in training, whose folds had no new items to learn from
    np.testing.assert_allclose(stages.vectors[placed], expected, atol=1e-6)
    unknown = stages.vectors[after.items.number(17)]
    assert not unknown[:-1].any()
    assert unknown[-1] == min(stages.vectors[known, -1].min(), 0)
    assert after.titles.take([int(placed[0]) - 1]).to_pylist() == ["title 11"]
    # A history reads them where features say something: user 4 moves, and user 6 by the length of the history alone.
    queries = [
        one.two_stage.towers.encode_queries(one.users.numbers(pa.array([4, 6])), one.features)[:, :-1]
        for one in (before, after)
    ]
    cosines = (queries[0] * queries[1]).sum(axis=1) / np.prod([np.linalg.norm(one, axis=1) for one in queries], axis=0)
    assert cosines[0] < 0.9999


def test_features_that_come_later_place_an_item_that_is_there(deep: Path, tmp_path: Path) -> None:
    update(deep, later([(4, 11)]), artifacts=tmp_path / "late")
    assert not belfry.Recommender.load(tmp_path / "late").two_stage.vectors[6, :-1].any()  # items 2, 4, ..., 10, 11
    update(tmp_path / "late", None, items([11]))
    update(deep, later([(4, 11)]), items([11]), artifacts=tmp_path / "once")
    late, once = (belfry.Recommender.load(tmp_path / name).two_stage.vectors for name in ("late", "once"))
    assert once[6, :-1].any()
    np.testing.assert_allclose(late, once, atol=1e-6)


def test_where_repeats_count_a_table_counts_once(tmp_path: Path) -> None:
    plain = events().select(["user_id", "item_id"])
    plain = pa.concat_tables([plain, plain.slice(0, 3)])
    train(tmp_path, *LIGHT, interactions=plain, repeats="allow")
    fresh = pa.concat_tables([plain.slice(0, 5), plain.slice(0, 5)])
    first = update(tmp_path, fresh)
    assert (first.folded.n_added, len(tables_of(tmp_path)["user_id"])) == (10, len(plain) + 10)
    again = update(tmp_path, fresh)
    assert (again.is_published, again.folded.n_known, again.folded.n_added) == (False, 10, 0)


def test_a_row_of_a_known_item_takes_the_place_of_what_is_known(deep: Path, tmp_path: Path) -> None:
    changed = pa.table({"item_id": [4], "title": ["another"], "genres": [["g0", "h0", "never heard of"]]})
    done = update(deep, None, changed, artifacts=tmp_path)
    assert (done.is_published, done.folded.n_given, done.n_new_items) == (True, 0, 0)
    before, after = belfry.Recommender.load(deep), belfry.Recommender.load(tmp_path)
    number, like = after.items.number(4), after.items.number(12)  # which has g0 and h0
    assert after.titles[number - 1].as_py() == "another"
    genres = after.features.items.multi_valued["genres"]
    assert (
        sorted(genres[number]) == sorted(genres[like]) != sorted(before.features.items.multi_valued["genres"][number])
    )
    others = np.arange(len(genres)) != number
    np.testing.assert_array_equal(genres[others], before.features.items.multi_valued["genres"][others])


def test_what_is_given_twice_counts_once(light: Path, tmp_path: Path) -> None:
    fresh = later([(2, 3), (4, 5), (1, 2)])
    first = update(light, fresh, artifacts=tmp_path)
    again = update(tmp_path, fresh)
    assert (again.is_published, again.run, again.folded.n_known, again.folded.n_added) == (False, first.run, 3, 0)
    assert "nothing is new, so nothing is published" in again.lines()[-1]
    more = update(tmp_path, pa.concat_tables([fresh, later([(4, 9)], days=70)]))
    assert (more.folded.n_given, more.folded.n_known, more.folded.n_added) == (4, 3, 1)
    assert "3 are in the run already and not counted again" in more.lines()[0]
    same_pair_later = update(tmp_path, later([(4, 9)], days=71))
    assert same_pair_later.folded.n_added == 1
    assert len(tables_of(tmp_path)["user_id"]) == len(events()) + 5
    known = update(tmp_path, events())
    assert (known.is_published, known.folded.n_known) == (False, len(events()))


def test_without_times_a_pair_counts_once(tmp_path: Path) -> None:
    plain = events().select(["user_id", "item_id"])
    train(tmp_path, interactions=plain)
    known = plain.slice(0, 3)
    done = update(tmp_path, pa.concat_tables([known, pa.table({"user_id": [2], "item_id": [99]})]))
    assert (done.folded.n_known, done.folded.n_added, done.n_new_items) == (3, 1, 1)


def test_where_rows_are_the_order_new_ones_come_last(tmp_path: Path) -> None:
    plain = events().select(["user_id", "item_id"])
    recommender = train(tmp_path, *LIGHT, "data.order=rows", interactions=plain)
    fresh = pa.table({"user_id": [2, 2], "item_id": [99, 1]})
    update(tmp_path, fresh)
    history = belfry.Recommender.load(tmp_path).features.history
    assert history.rows_in_order and not recommender.features.history.timestamp_s
    rows = history.by_user.of(history.users.number(2))
    assert history.items.take(history.item_num[rows][-2:]).to_pylist() == [99, 1]
    again = update(tmp_path, fresh)
    assert (again.is_published, again.folded.n_known) == (False, 2)


def test_an_update_can_be_updated_and_judged(deep: Path, tmp_path: Path) -> None:
    first = update(deep, later([(1, 4), (1, 3)]), artifacts=tmp_path)
    second = update(tmp_path, later([(3, 5), (1, 6), (2, 3)], days=62))
    assert second.parent == first.run
    run = open_run(tmp_path)
    note = run.manifest.notes["update"]
    assert isinstance(note, dict)
    lineage = note["lineage"]
    assert isinstance(lineage, dict)
    assert (lineage["n_updates"], lineage["parent"], lineage["trained_run"]) == (2, first.run, current_run(deep).name)
    drift = note["drift"]
    assert isinstance(drift, dict)
    assert (drift["n_since"], drift["of_new_users"], drift["of_new_items"]) == (5, 4 / 5, 3 / 5)
    assert drift["data_days"] == pytest.approx(
        (START_S + 62 * 86_400 + 120 - events()["timestamp_s"].to_numpy().max()) / 86_400
    )
    before, after = belfry.Recommender.load(deep), belfry.Recommender.load(tmp_path)
    users = pa.array([user for user in before.users.ids.to_pylist() if user != 2])
    queries = [one.two_stage.towers.encode_queries(one.users.numbers(users), one.features) for one in (before, after)]
    np.testing.assert_array_equal(*queries)
    pq.write_table(later([(1, 8), (4, 6)], days=70), tmp_path / "test.parquet")
    evaluate_published(tmp_path, tmp_path / "test.parquet", n=5, min_history=1, seed=0, out=tmp_path / "report")


def test_kept_statistics_leave_the_lists_of_others_alone(deep: Path, tmp_path: Path) -> None:
    before = belfry.Recommender.load(deep)
    others = pa.array([user for user in before.users.ids.to_pylist() if user not in (2, 4)])
    newest = int(events()["timestamp_s"].to_numpy().max())
    fresh = later([(1, 2), (2, 4), (2, 6), (2, 8), (4, 2), (4, 10)]).set_column(
        2, "timestamp_s", pa.array([newest] * 6)
    )
    update(deep, fresh, artifacts=tmp_path, keep_statistics=True)
    after = belfry.Recommender.load(tmp_path)
    assert after.recommend_many(others, 10).equals(before.recommend_many(others, 10))
    assert not after.recommend_many([2, 4], 10).equals(before.recommend_many([2, 4], 10))
    assert after.recommend(1, 3)[0].origin != "cold"
    with pytest.raises(InputError, match="1 items are new and have no statistics yet; update without keeping"):
        update(deep, later([(2, 3)]), artifacts=tmp_path, keep_statistics=True)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": [2], "item_id": [4]}, "'timestamp_s' is missing, and the run's events have times"),
        ({"user_id": ["2"], "item_id": [4], "timestamp_s": [START_S]}, "'user_id' is string, the run's ids are int64"),
        ({"user_id": [2], "timestamp_s": [START_S]}, "'item_id' is missing"),
        ({"user_id": [2.5], "item_id": [4], "timestamp_s": [START_S]}, "'user_id'"),
        ({"user_id": pa.array([], pa.int64()), "item_id": pa.array([], pa.int64())}, "interactions: has no rows"),
        ({"user_id": pa.array([], pa.string()), "item_id": pa.nulls(0)}, r"^1 problem .*\n.* has no rows; .*watches$"),
        ({"user_id": [None], "item_id": [4], "timestamp_s": [START_S]}, r"^1 problem .*\n.*has 1 null or empty ids"),
        (
            {"user_id": [7] * 10, "item_id": list(range(101, 121, 2)), "timestamp_s": [START_S] * 10},
            r"name no user and no item of the run \(such as 7, 101; the run has 2, 2\)",
        ),
        ({"user_id": [2], "item_id": [4], "timestamp_s": [7_000_000_000]}, "as by a wrong clock"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_done(
    light: Path, tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    files = sorted(path.name for path in light.iterdir() if path.name != LOCK)
    with pytest.raises(TableError, match=message):
        update(light, pa.table(columns))
    assert sorted(path.name for path in light.iterdir() if path.name not in (LOCK, ".lock")) == [
        name for name in files if name != ".lock"
    ]


def test_older_events_take_their_place(light: Path, tmp_path: Path) -> None:
    done = update(light, later([(2, 1)], days=-1), artifacts=tmp_path)
    assert done.folded.n_older == 1
    assert "1 older than the newest in the run" in done.lines()[0]
    history = belfry.Recommender.load(tmp_path).features.history
    oldest = history.by_user.of(history.users.number(2))[0]
    assert history.items.take([history.item_num[oldest]]).to_pylist() == [1]


def test_text_ids_come_from_csv_as_the_run_has_them(tmp_path: Path) -> None:
    as_text = events()
    as_text = as_text.set_column(0, "user_id", as_text["user_id"].cast(pa.string()))
    train(tmp_path / "runs", interactions=as_text)
    (tmp_path / "new.csv").write_text(f"user_id,item_id,timestamp_s\n2,4,{START_S + 10**7}\n7,6,{START_S + 10**7}\n")
    done = update(tmp_path / "runs", tmp_path / "new.csv")
    assert (done.folded.n_added, done.n_new_users) == (2, 1)
    assert belfry.Recommender.load(tmp_path / "runs").recommend("7", 1)[0].origin != "cold"


def test_rows_that_say_what_is_known_are_nothing_new(light: Path, tmp_path: Path) -> None:
    titles = items().select(["item_id", "title"])
    assert not update(light, None, titles).is_published
    other = titles.slice(0, 1).set_column(1, "title", pa.array(["other"]))
    for number, (rows, title) in enumerate(((other, "other"), (titles, "title 2"), (other, "other"))):
        assert update(tmp_path if number else light, None, rows, artifacts=tmp_path).is_published
        assert belfry.Recommender.load(tmp_path).titles[0].as_py() == title


def test_a_run_that_is_not_there_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such folder"):
        update(tmp_path / "nowhere", later([(2, 4)]))
    assert not list(tmp_path.iterdir())


def test_where_no_run_is_named_it_is_that_of_the_place_to_publish(
    light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELFRY_ARTIFACTS", str(tmp_path / "nowhere"))
    shutil.copytree(light, tmp_path / "runs")
    assert update(interactions=later([(2, 4)]), artifacts=tmp_path / "runs").parent == current_run(light).name
    with pytest.raises(ArtifactError, match="nowhere: no such folder"):
        update(interactions=later([(2, 4)]))


def test_nothing_to_update_with(light: Path) -> None:
    with pytest.raises(InputError, match="nothing to update with: name interactions, items or users"):
        update(light)


def test_a_damaged_run_is_refused(light: Path, tmp_path: Path) -> None:
    shutil.copytree(light, tmp_path / "runs")
    path = current_run(tmp_path / "runs") / "history" / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"history/arrays\.npz"):
        update(tmp_path / "runs", later([(2, 4)]))
    training = next(current_run(light).glob("training/**/*.npy"))
    copy = tmp_path / "other"
    shutil.copytree(light, copy)
    damaged = current_run(copy) / training.relative_to(current_run(light))
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="training/"):
        update(copy, later([(2, 4)]))
    assert current_run(copy).name == current_run(light).name


def test_two_at_once_and_a_run_published_meanwhile(
    light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = tmp_path / "runs"
    update(light, later([(2, 1)]), artifacts=artifacts)
    with hold(artifacts / LOCK), pytest.raises(InputError, match=f"in use by process {os.getpid()}"):
        update(artifacts, later([(4, 1)], days=70))

    def write_models(*arguments: object) -> object:
        train(artifacts)
        return real(*arguments)  # type: ignore[arg-type]

    real = job.write_models
    with monkeypatch.context() as patched:
        patched.setattr(job, "write_models", write_models)
        with pytest.raises(InputError, match=r"was published while .* was updated; update that one"):
            update(artifacts, later([(4, 1)], days=70))
    assert "update" not in open_run(artifacts).manifest.notes


@pytest.mark.parametrize(("weight", "target"), [(1.0, 0.99), (0.0, 0.9)])
def test_an_index_that_is_built_anew_looks_as_hard_as_the_weight_asks_for(
    light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weight: float, target: float
) -> None:
    artifacts, targets = tmp_path / "runs", []
    shutil.copytree(light, artifacts)

    def read_sources(path: ReadablePath) -> dict[str, SourceConfig]:
        return {name: one.model_copy(update={"weight": weight}) for name, one in load.read_sources(path).items()}

    def build_index(vectors: Vectors, item_num: ItemNums, config: IndexConfig, queries: Vectors) -> CandidateIndex:
        targets.append(config.target)
        return ExactIndex.build(vectors, item_num)

    monkeypatch.setattr(moved, "read_sources", read_sources)
    monkeypatch.setattr(moved, "build_index", build_index)
    update(artifacts, later([(4, 1)], days=70))
    assert set(targets) == {target}


def test_a_run_published_at_the_last_moment_stays(light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = tmp_path / "runs"
    shutil.copytree(light, artifacts)

    def write_current(folder: Path, name: str) -> None:
        monkeypatch.undo()
        train(artifacts)
        writer.write_current(folder, name)

    monkeypatch.setattr(writer, "write_current", write_current)
    with pytest.raises(InputError, match=r"was published while .* was updated; update that one"):
        update(artifacts, later([(4, 1)], days=70))
    assert "update" not in open_run(artifacts).manifest.notes
    assert not [*artifacts.glob(".writing-*")]


def test_a_run_that_lies_alone_needs_a_place(light: Path, tmp_path: Path) -> None:
    shutil.copytree(current_run(light), tmp_path / "alone")
    with pytest.raises(InputError, match="lies in no artifacts folder; name one to publish into with --artifacts"):
        update(tmp_path / "alone", later([(2, 4)]))
    assert update(tmp_path / "alone", later([(2, 4)]), artifacts=tmp_path / "runs").is_published


def test_json_for_programs(light: Path, tmp_path: Path) -> None:
    done = update(light, later([(1, 3)]), artifacts=tmp_path)
    told = json.loads(json.dumps(done.to_json()))
    assert told["events"] == {
        "given": 1,
        "in_the_run_already": 0,
        "left_out_for_their_times": 0,
        "added": 1,
        "older_than_the_newest": 0,
        "only_shown": 0,
    }
    assert (told["new_users"], told["new_items"], told["is_published"]) == (1, 1, True)
    assert told["folder"] == str(current_run(tmp_path))
