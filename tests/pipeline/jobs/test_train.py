"""`belfry.train`: tables of any kind -> a published run that answers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import belfry
from belfry import Recommender, train
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.demo import generate
from belfry.pipeline.runs.reader import open_run

QUICK = (
    *("retrieval.epochs=2", "retrieval.embedding_size=8", "folds=2"),
    *("ranker.epochs=1", "ranker.min_steps=5", "ranker.members=1", "ranker.widths=[8]", "n_candidates=10"),
)


def watches(n_users: int = 12, n_items: int = 15) -> pd.DataFrame:
    """Half of all pairs."""
    cells = np.random.default_rng(0).permutation(n_users * n_items)[: n_users * n_items // 2]
    return pd.DataFrame({"user_id": cells // n_items, "item_id": cells % n_items})


def test_a_frame_and_an_arrow_table_become_the_run_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELFRY_ARTIFACTS", str(tmp_path / "artifacts"))
    told: list[str] = []
    frame = watches()
    titles = [f"title {item}" for item in range(15)]
    vectors = np.random.default_rng(1).normal(size=(15, 8)).tolist()
    items = pa.table({"item_id": list(range(15)), "title": titles, "look": vectors})
    recommender = belfry.train(
        frame, items, settings=QUICK, seed=7, progress=lambda what, done, total: told.append(what)
    )
    published = open_run(tmp_path / "artifacts")
    assert recommender.run == published
    assert (published.manifest.seed, published.manifest.holdout, published.manifest.preset) == (7, "random", "default")
    assert published.manifest.config["n_candidates"] == 10
    assert told
    answers = recommender.recommend(3, 4)
    assert len(answers) == 4
    assert not {answer.item_id for answer in answers} & set(frame.loc[frame["user_id"] == 3, "item_id"])
    assert [answer.title for answer in answers] == [f"title {answer.item_id}" for answer in answers]
    assert belfry.recommend(3, 4) == answers


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"interactions": pd.DataFrame({"user_id": [1], "film": [2]})}, TableError, "column 'item_id' is missing"),
        ({"interactions": "no.csv"}, InputError, "no.csv: no such file or folder"),
        ({"settings": ["foldz=3"]}, InputError, "foldz"),
        ({"preset": "nonsense"}, InputError, "preset 'nonsense': known are default"),
        ({"holdout": "time"}, InputError, "holdout 'time' needs a timestamp_s column"),
    ],
)
def test_a_wrong_call_publishes_nothing(
    tmp_path: Path, change: dict[str, object], error: type[Exception], message: str
) -> None:
    call: dict[str, object] = {"interactions": watches(), "artifacts": tmp_path / "artifacts"}
    with pytest.raises(error, match=message):
        belfry.train(**(call | change))  # type: ignore[arg-type]
    assert not list((tmp_path / "artifacts").glob("default-*"))


@pytest.mark.parametrize("seed", [1.5, -1, 2**31, True, None, "1"])
def test_a_seed_that_is_none_is_refused_before_any_work(tmp_path: Path, seed: object) -> None:
    with pytest.raises(InputError, match=r"seed=.*: wanted a whole number from 0 to 2147483647"):
        belfry.train(watches(), seed=seed, artifacts=tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_no_interactions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="a table is a path or a table of pandas, Polars, DuckDB or Arrow, not NoneType"
    ):
        belfry.train(None, artifacts=tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["pandas", "polars", "stream"])
def test_frames_of_any_kind_train_the_same_run(form: str, tmp_path: Path) -> None:
    if form == "polars":
        pl = pytest.importorskip("polars")
    tables = generate(n_users=60, n_items=40, n_watches=900)
    forms = {
        "pandas": lambda table: table.to_pandas(),
        "polars": lambda table: pl.from_arrow(table),
        "stream": pa.RecordBatchReader.from_stream,  # whatever has __arrow_c_stream__
    }
    light = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]")

    def trained(name: str, convert: Callable[[pa.Table], object]) -> Recommender:
        events, items = convert(tables.interactions), convert(tables.items)
        return train(interactions=events, items=items, settings=light, artifacts=tmp_path / name)  # type: ignore[arg-type]

    found, wanted = trained("frames", forms[form]), trained("arrow", lambda table: table)
    assert found.run.manifest.input_hash == wanted.run.manifest.input_hash
    users = wanted.users.ids
    assert found.recommend_many(users, 5).to_arrow().equals(wanted.recommend_many(users, 5).to_arrow())
