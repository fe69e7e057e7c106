"""The recommendation table under rules: what is in it, who is left out or has less, and how a stopped job goes on."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.jobs import batch_parts
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules.config import Rules

PARTS = 10
NAMED = ["user_id", "rank", "item_id", "origin"]  # scores of larger blocks differ in the last digit
RULES = Rules(where="year >= 1995", at_most={"genres": 3}, pinned=[{"item_id": 9, "place": 2}])


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", PARTS)


def stop_after(recommender: Recommender, out: Path, n_parts: int, **rules: Any) -> Path:
    """The folder of parts that a job has left which was stopped."""

    def stop(done: int, total: int) -> None:
        if done >= n_parts * PARTS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, out, n=4, progress=stop, **rules)
    (folder,) = out.glob(".parts-*")
    return folder


def test_the_table_is_what_recommend_many_gives(shaped: Recommender, tmp_path: Path) -> None:
    result = write_batch(shaped, tmp_path / "out", n=4, rules=RULES)
    table = pq.read_table(result.path)
    assert table.select(NAMED).equals(shaped.recommend_many(shaped.users.ids, 4, rules=RULES).select(NAMED))
    assert Rules(**json.loads(table.schema.metadata[b"belfry.rules"])) == RULES
    assert "pinned" in table["origin"].to_pylist()


def test_a_file_of_rules_and_where(shaped: Recommender, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("at_most = { artist = 1 }\n")
    result = write_batch(shaped, tmp_path / "out", n=9, rules=tmp_path / "rules.toml", where="year > 1994")
    wanted = shaped.recommend_many(shaped.users.ids, 9, rules={"at_most": {"artist": 1}, "where": "year > 1994"})
    assert pq.read_table(result.path).select(NAMED).equals(wanted.select(NAMED))
    assert result.n_short == 40
    short = "shorter lists: 40, for 25 of 30 items may be listed, at most 1 of each label of 'artist'"
    assert short in result.lines()


def test_who_gets_nothing_is_left_out_with_the_reason(shaped: Recommender, tmp_path: Path) -> None:
    history = shaped.features.history
    item = int(history.item_counts.argmax())
    watched = int(history.item_counts[item])
    result = write_batch(shaped, tmp_path / "out", n=3, rules={"allow": [item]})
    assert {left.reason for left in result.left_out} == {"no item that the rules allow is left"}
    assert len(result.left_out) == watched and result.n_rows == 40 - watched == result.n_short


def test_a_stopped_job_goes_on_under_the_same_rules(
    shaped: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(shaped, tmp_path / "out", 2, rules=RULES)
    result = write_batch(shaped, tmp_path / "out", n=4, rules=RULES)
    whole = write_batch(shaped, tmp_path / "whole", n=4, rules=RULES)
    assert result.resumed and result.path.read_bytes() == whole.path.read_bytes()
    assert (result.n_short, result.left_out) == (whole.n_short, whole.left_out)


@pytest.mark.parametrize("other", [None, {"where": "year >= 1996"}, {**dict(RULES), "depth": 51}])
def test_parts_under_other_rules_are_not_taken(shaped: Recommender, tmp_path: Path, other: Any) -> None:
    stop_after(shaped, tmp_path / "out", 2, rules=RULES)
    result = write_batch(shaped, tmp_path / "out", n=4, rules=other)
    assert not result.resumed
    wanted = shaped.recommend_many(shaped.users.ids, 4, rules=other)
    assert pq.read_table(result.path).select(NAMED).equals(wanted.select(NAMED))


def test_all_lists_speak_of_when_the_job_was_begun(
    shaped: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {"available_from": "opens"}
    begun = stop_after(shaped, tmp_path / "out", 1, rules=rules) / "begun"
    assert abs((datetime.fromisoformat(begun.read_text()) - datetime.now(UTC)).total_seconds()) < 600
    folder = next((tmp_path / "out").glob(".parts-*"))
    for path in folder.glob("part-*"):
        path.unlink()
    begun.write_text("2025-06-01T00:00:00+00:00")
    table = pq.read_table(write_batch(shaped, tmp_path / "out", n=4, rules=rules).path)
    wanted = shaped.recommend_many(shaped.users.ids, 4, rules={**rules, "now": "2025-06-01"})
    assert table.select(NAMED).equals(wanted.select(NAMED))
    assert all(item % 2 == 0 for item in table["item_id"].to_pylist())


def test_an_item_that_is_not_allowed_is_found_in_what_was_written(
    shaped: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommend_many = Recommender.recommend_many

    def without_rules(self: Recommender, *arguments: Any, rules: object = None, **more: Any) -> pa.Table:
        return recommend_many(self, *arguments, **more)

    monkeypatch.setattr(Recommender, "recommend_many", without_rules)
    with pytest.raises(BelfryError, match="lists: a blocked item"):
        write_batch(shaped, tmp_path / "out", n=4, where="year >= 2015")


@pytest.mark.parametrize(("rules", "words"), [({"where": "yaer > 1"}, "no column 'yaer'"), ("none.toml", "none.toml")])
def test_wrong_rules_are_refused_before_any_work(shaped: Recommender, tmp_path: Path, rules: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        write_batch(shaped, tmp_path / "out", n=4, rules=rules)
    assert not (tmp_path / "out").exists()
