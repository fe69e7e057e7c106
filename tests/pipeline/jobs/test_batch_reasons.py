"""Reasons in the recommendation table: those of `recommend`, in every format, and how a stopped job goes on."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.jobs import batch_parts
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender

REASONS = ["watched", "watched_share", "features", "feature_change"]


@pytest.fixture(scope="module")
def recommender(tiny_run: Path) -> Recommender:
    return Recommender.load(tiny_run)


def asked(recommender: Recommender) -> pa.Array:
    """Users with a history, one without, and one whom the run does not know."""
    history = recommender.features.history
    n_seen = history.seen_items.count(recommender.users.all_numbers)[1:]
    known = recommender.users.ids.take(pa.array((-n_seen).argsort(kind="stable")[:6]))
    return pa.concat_arrays([known, recommender.users.ids.take(pa.array([n_seen.argmin()])), pa.array([123_456_789])])


@pytest.mark.parametrize("under_rules", [False, True])
@pytest.mark.parametrize("n", [3, 40])
def test_they_are_those_of_recommend(recommender: Recommender, n: int, under_rules: bool) -> None:
    users, items = asked(recommender), recommender.items.ids.to_pylist()
    rules = {"deny": items[:2], "pinned": [{"item_id": items[2], "place": 2}]} if under_rules else None
    table = recommender.recommend_many(users, n, explain=True, rules=rules)
    rows = iter(table.to_pylist())
    for user in users.to_pylist():
        for result in recommender.recommend(user, n, explain=True, rules=rules):
            row, because = next(rows), result.because
            assert because is not None and (row["user_id"], row["item_id"]) == (user, result.item_id)
            assert row["watched"] == [found.item_id for found in because.watched]
            assert row["watched_share"] == pytest.approx([found.share for found in because.watched], abs=1e-4)
            changes = dict(zip(row["features"], row["feature_change"], strict=True))
            for effect in because.features:  # batches differ in the last digits, and so may what is named last
                assert changes.get(effect.feature, effect.change) == pytest.approx(effect.change, abs=1e-3)
    assert next(rows, None) is None
    plain = recommender.recommend_many(users, n, rules=rules)
    assert plain.equals(table.drop_columns(REASONS))


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_the_table_holds_them(recommender: Recommender, tmp_path: Path, kind: str) -> None:
    users = asked(recommender)
    result = write_batch(recommender, tmp_path / "out", users=users, n=3, explain=True, format=kind)  # type: ignore[arg-type]
    wanted = recommender.recommend_many(users, 3, explain=True)
    if kind == "parquet":
        assert wanted.equals(pq.read_table(result.path))
    elif kind == "jsonl":
        rows = [json.loads(line) for line in result.path.read_text(encoding="utf-8").splitlines()]
        assert [row["watched"] for row in rows] == wanted["watched"].to_pylist()
        assert [row["features"] for row in rows] == wanted["features"].to_pylist()
    else:
        assert result.path.read_text(encoding="utf-8").splitlines()[0].endswith('"features","feature_change"')


def test_a_stopped_job_goes_on_with_reasons_alone(
    recommender: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", 3)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    users = asked(recommender)
    for out in ("out", "other"):
        with pytest.raises(KeyboardInterrupt):
            write_batch(recommender, tmp_path / out, users=users, n=3, explain=True, progress=stop)
    resumed = write_batch(recommender, tmp_path / "out", users=users, n=3, explain=True)
    whole = write_batch(recommender, tmp_path / "whole", users=users, n=3, explain=True)
    assert resumed.resumed and resumed.path.read_bytes() == whole.path.read_bytes()
    assert not write_batch(recommender, tmp_path / "other", users=users, n=3).resumed


@pytest.mark.parametrize("out", ["duckdb:file.duckdb?table=lists", "postgresql://user:secret@host/database"])
def test_databases_take_no_lists(recommender: Recommender, out: str) -> None:
    with pytest.raises(InputError, match="reasons are lists, which go to folders") as refused:
        write_batch(recommender, out, n=3, explain=True)
    assert "secret" not in str(refused.value)
