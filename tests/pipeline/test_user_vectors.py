"""Vectors of users, from their table to cold lists: read, learned from, asked for in a call, kept in the run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry import Recommender
from belfry.dataset.encoding.columns import VectorEncoder
from belfry.dataset.errors import ArtifactError, InputError, TableError
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UserNums
from belfry.layers.saved.files import load_arrays, save_arrays
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.batch_users import read_users
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.kinds import SOURCE_KINDS
from belfry.pipeline.runs.data.tables import load_tables, load_user_encoder
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.training.publish import train_and_publish
from belfry.retrieval.popularity import Popularity
from belfry.retrieval.registry import make_towers
from benchmarks.user_vectors import Generated, generate, judge, split
from tests.pipeline.small_world import N_USERS as N_USERS_OF_SMALL
from tests.pipeline.small_world import small_data
from tests.pipeline.test_kinds import assert_answers_as_trained, quick

N_USERS, N_NEWCOMERS, LENGTH, FIRST_NEW = 700, 200, 32, 10**6
QUICK = ("ranker=none", "sources=[]", "retrieval.embedding_size=16", "retrieval.max_steps=200", "folds=2")


@pytest.fixture(scope="module")
def world() -> Generated:
    return generate(0, n_users=N_USERS, n_items=300, mean_watches=30, length=LENGTH)


@pytest.fixture(scope="module")
def run(world: Generated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = world.data("hidden")
    past, _, _ = split(data.interactions, N_NEWCOMERS)
    return train_and_publish(
        replace(data, interactions=past),
        load_config("default", holdout="random", settings=QUICK),
        preset="default",
        holdout="random",
        seed=0,
        artifacts=tmp_path_factory.mktemp("vectors") / "artifacts",
    )


@pytest.fixture(scope="module")
def recommender(run: Path) -> Recommender:
    return Recommender.load(run)


@pytest.fixture(scope="module")
def vectors(world: Generated) -> dict[int, list[float]]:
    """Those of newcomers whom the run knows by their features alone."""
    column = world.columns["hidden"]
    assert column is not None
    return {user: column[user - 1].as_py() for user in range(N_USERS - 3, N_USERS + 1)}


@pytest.fixture(scope="module")
def table(vectors: dict[int, list[float]]) -> pa.Table:
    """The same people, under ids that the run does not know."""
    return pa.table({"user_id": [FIRST_NEW + user for user in vectors], "embedding": list(vectors.values())})


def cold_stages(
    world: Generated, column: str, config: PipelineConfig
) -> tuple[TwoStage, UserNums, UserNums, Interactions]:
    """The answer without a ranker; newcomers, others, and what both watch later."""
    data = world.data(column)
    past, later, newcomers = split(data.interactions, N_NEWCOMERS)
    features = data.features(past)
    towers = make_towers(config.retrieval).fit(past, features, seed=0)
    popularity = Popularity(config.popularity).fit(past, features, seed=0)
    items = towers.encode_candidates(past.items.all_numbers, features)
    weight = config.tower_weight_for_cold_users(features.users)
    stages = TwoStage(features, towers, items, popularity, popularity, weight, None, config.n_candidates)
    return stages, newcomers, past.users.all_numbers[1:-N_NEWCOMERS], later


def test_newcomers_get_what_their_vectors_tell(world: Generated) -> None:
    config = load_config("default", holdout="random", settings=["retrieval.embedding_size=16"])
    found = {}
    for column in ("none", "hidden", "noise"):
        stages, newcomers, _, later = cold_stages(world, column, config)
        found[column] = judge(stages, newcomers, later)
    gain, harm = found["hidden"] - found["none"], found["noise"] - found["none"]
    assert gain.mean() - 2 * gain.std() / np.sqrt(len(gain)) > 0.05
    assert harm.mean() > -0.02


def test_a_vector_in_a_call_gives_the_list_of_a_known_user_with_it(
    recommender: Recommender, vectors: dict[int, list[float]]
) -> None:
    lists = set()
    for user, vector in vectors.items():
        known = recommender.recommend(user, 20)
        for same in (vector, tuple(vector), np.array(vector), np.array(vector, np.float32), str(vector)):
            assert recommender.recommend(None, 20, features={"embedding": same}) == known
        watched = [known[0].item_id]
        assert recommender.recommend(None, 5, features={"embedding": vector}, history=watched) == recommender.recommend(
            user, 5, history=watched
        )
        lists.add(tuple(result.item_id for result in known))
    assert len(lists) == len(vectors)
    assert recommender.recommend(None, 20, features={"embedding": None}) == recommender.recommend(FIRST_NEW, 20)


@pytest.mark.parametrize("container", ["arrow", "pandas"])
def test_a_table_of_newcomers_brings_vectors(
    recommender: Recommender, table: pa.Table, vectors: dict[int, list[float]], container: str, tmp_path: Path
) -> None:
    given: pa.Table | pd.DataFrame = table
    if container == "pandas":
        given = pd.DataFrame({"user_id": table["user_id"].to_pylist()})
        given["embedding"] = [np.array(vector, np.float32) for vector in vectors.values()]
    rows = recommender.recommend_many(given, 7)
    assert rows.drop_columns("user_id").equals(recommender.recommend_many(list(vectors), 7).drop_columns("user_id"))
    pq.write_table(table, tmp_path / "newcomers.parquet")
    users = read_users(tmp_path / "newcomers.parquet", recommender)
    written = pq.read_table(write_batch(recommender, tmp_path / "out", users=users, n=7).path)
    assert written.replace_schema_metadata(None).equals(rows.replace_schema_metadata(None))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([0.5, 1.5], r"holds vectors of 32 finite numbers, not all 0, \[0\.5, 1\.5\] is none: 2 numbers"),
        ([float("nan")] * LENGTH, "none: not finite"),
        ([1e300] * LENGTH, "none: not finite"),
        ([0] * LENGTH, "none: zeros alone"),
        ([None] * LENGTH, "none: no list of numbers"),
        ([[1.0]] * LENGTH, "none: no list of numbers"),
        ([[1.0], 2.0], "none: no list of numbers"),
        (["1"] * LENGTH, "none: no list of numbers"),
        ([], "none: 0 numbers"),
        ("blue", "'blue' is none: no JSON"),
        (3, "3 is none: no list"),
        ({"a": 1}, "none: no list"),
    ],
)
def test_what_is_no_vector_is_refused(recommender: Recommender, value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        recommender.recommend(None, features={"embedding": value})


def test_bad_vectors_in_a_table_of_newcomers_are_refused_by_row(recommender: Recommender, table: pa.Table) -> None:
    for cell, words in (
        (
            [1.0, 2.0],
            r"users: column 'embedding' has bad vectors, 1 of another length than 32 \(first in row 1\); mend",
        ),
        ([float("nan")] * LENGTH, r"1 with a value that is missing or not finite \(first in row 1\)"),
        ([0.0] * LENGTH, r"1 of zeros alone \(first in row 1\)"),
    ):
        cells = [*table["embedding"].to_pylist()]
        cells[1] = cell
        with pytest.raises(TableError, match=words):
            recommender.recommend_many(pa.table({"user_id": table["user_id"], "embedding": cells}))
    nothing = pa.table({"user_id": table["user_id"], "embedding": pa.nulls(len(table))})
    rows = recommender.recommend_many(nothing, 5)
    assert rows["item_id"][:5].to_pylist() == [result.item_id for result in recommender.recommend(FIRST_NEW, 5)]


def test_a_run_with_other_vectors_than_its_encoder_makes_is_refused(run: Path, tmp_path: Path) -> None:
    features, _ = load_tables(run)
    narrow = replace(features.users, vectors={"embedding": features.users.vectors["embedding"][:, :-1]})
    with pytest.raises(ArtifactError, match="encodes other columns than user_features"):
        load_user_encoder(run, narrow)
    arrays = load_arrays(run / "user_features")
    arrays["vectors/embedding"] = np.full_like(arrays["vectors/embedding"], np.nan)
    for name in ("users.parquet", "items.parquet", "history.json", "history/arrays.npz", "item_features/arrays.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((run / name).read_bytes())
    save_arrays(tmp_path / "user_features", arrays)
    with pytest.raises(ArtifactError, match="column 'embedding' is not finite"):
        load_tables(tmp_path)


def test_the_weight_of_the_towers_in_cold_lists(recommender: Recommender) -> None:
    assert recommender.two_stage.cold_weight == 0.5
    users = recommender.features.users
    assert PipelineConfig(cold_weight=0.2).tower_weight_for_cold_users(users) == 0.2
    assert PipelineConfig().tower_weight_for_cold_users(replace(users, vectors={})) == 0.1


def test_an_update_brings_vectors_of_new_users(
    run: Path, recommender: Recommender, table: pa.Table, vectors: dict[int, list[float]], tmp_path: Path
) -> None:
    short = pa.table({"user_id": table["user_id"], "embedding": [vector[:9] for vector in vectors.values()]})
    with pytest.raises(TableError, match=r"4 of another length than 32 \(first in row 0\)"):
        update(run, users=short, artifacts=tmp_path)
    assert update(run, users=table, artifacts=tmp_path).is_published
    after = Recommender.load(tmp_path)
    for user in vectors:
        assert after.recommend(FIRST_NEW + user, 10) == recommender.recommend(user, 10)


@pytest.mark.parametrize("kind", ["sequence", "multitask"])
def test_other_towers_read_them_too(kind: str, tmp_path: Path) -> None:
    data = small_data()
    column = pa.array(np.random.default_rng(0).normal(size=(N_USERS_OF_SMALL, 8)).tolist(), pa.list_(pa.float32(), 8))
    encoder = VectorEncoder.learn("face", column)
    assert encoder is not None
    rows = np.vstack([np.zeros((1, 8), np.float32), encoder.encode(column)])
    data = replace(
        data,
        users=replace(data.users, vectors={"face": rows}),
        user_encoder=replace(data.user_encoder, encoders={**data.user_encoder.encoders, "face": encoder}),
    )
    settings = ["ranker=none", "sources=[]", *quick("retrieval", kind, list(SOURCE_KINDS[kind].config.model_fields))]
    served = assert_answers_as_trained(data, settings, "retrieval", tmp_path)
    one, other = (served.recommend(None, 5, features={"face": column[row].as_py()}) for row in (0, 1))
    assert kind == "sequence" or [place.score for place in one] != [place.score for place in other]
