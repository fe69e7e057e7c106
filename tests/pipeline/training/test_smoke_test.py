"""A run that cannot answer is not published."""

import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import belfry
from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.runs.reader import current_run
from belfry.pipeline.training import publish

LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=2", "ranker=none", "sources=[]")


def watches(id_type: pa.DataType) -> pa.Table:
    cells = np.random.default_rng(0).permutation(180)[:90]
    return pa.table({"user_id": pa.array(cells // 15).cast(id_type), "item_id": cells % 15})


@pytest.mark.parametrize("id_type", [pa.int64(), pa.string()])
def test_a_run_that_cannot_answer_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, id_type: pa.DataType
) -> None:
    before = belfry.train(watches(id_type), settings=LIGHT, artifacts=tmp_path).run.folder
    export = publish._export

    def export_badly(trained: publish.Trained, folder: Path) -> None:
        export(trained, folder)
        shutil.rmtree(folder / "popularity")

    monkeypatch.setattr(publish, "_export", export_badly)
    message = r"the trained run cannot answer \(to open it: ArtifactError: .*popularity.*\), so it is not published"
    with pytest.raises(BelfryError, match=message) as caught:
        belfry.train(watches(id_type), settings=LIGHT, artifacts=tmp_path, seed=1)
    assert not isinstance(caught.value, InputError)
    assert current_run(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [before.name]


def test_what_was_trained_is_let_go_of_before_the_run_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, sources, opened = publish.train, [], []

    def watched_train(*arguments: Any, **options: Any) -> publish.Trained:
        trained = train(*arguments, **options)
        sources.extend(weakref.ref(source) for source in trained.first.sources.values())
        return trained

    def check(folder: Path) -> None:
        opened.append([source() for source in sources])

    monkeypatch.setattr(publish, "train", watched_train)
    monkeypatch.setattr(publish, "check_answers", check)
    belfry.train(watches(pa.int64()), settings=LIGHT, artifacts=tmp_path)
    assert opened == [[None]]


def test_columns_called_like_inputs_of_the_query_tower_are_features_like_others(tmp_path: Path) -> None:
    names = ("history", "recency", "uniform", "user", "column_1", "a:0", "^x", "", "\x00", "日本", "x" * 10_000)
    generator = np.random.default_rng(0)
    users = {name: ["north", "south"] * 6 for name in names} | {"recent": generator.normal(size=12).tolist()}
    settings = ("retrieval.epochs=1", "retrieval.embedding_size=2", "ranker=none", "sources=[]")
    run = belfry.train(
        watches(pa.int64()), users=pa.table({"user_id": range(12), **users}), settings=settings, artifacts=tmp_path
    )
    assert set(run.features.users.names) == {*names, "recent", "recent_bucket"}
    assert len(run.recommend(3, 5)) == 5
