"""`belfry describe`: figures, advice, the page and the verb."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from typer.testing import CliRunner

from belfry.dataset.errors import InputError
from belfry.pipeline.cli.commands import app
from belfry.pipeline.jobs.look.describe import describe_tables
from belfry.pipeline.jobs.look.pages import check_page
from tests.ab_tables import make_ab_tables

TABLES = make_ab_tables()


def advice_of(table: pa.Table, **asked: object) -> dict[str, str]:
    return {one.option: one.choice for one in describe_tables(table, **asked).advice}  # type: ignore[arg-type]


def test_figures_are_those_of_the_tables() -> None:
    found = describe_tables(TABLES.train, items=TABLES.items, users=TABLES.users)
    assert found.errors == ()
    assert found.shape is not None
    assert (found.shape.n_watches, found.shape.n_users, found.shape.n_items) == (480, 60, 80)
    assert found.shape.density == pytest.approx(480 / 4800)
    assert found.histories is not None
    assert (found.histories.smallest, found.histories.largest) == (8, 8)
    assert {one.column for one in found.values} == {"genres", "side"}
    assert None not in (found.ratings, found.times, found.cold, found.drift)
    assert [one.column for one in found.columns if one.table == "items"] == ["item_id", "title", "genres"]


def test_doubles_and_repeats_are_told_apart() -> None:
    once = TABLES.train.select(["user_id", "item_id"])
    found = describe_tables(pa.concat_tables([once, once.slice(0, 10)]))
    assert found.shape is not None
    assert (found.shape.n_rows, found.shape.n_doubles, found.shape.n_watches) == (490, 10, 480)
    again = TABLES.train.set_column(3, "timestamp_s", [[one + 5 for one in TABLES.train["timestamp_s"].to_pylist()]])
    found = describe_tables(pa.concat_tables([TABLES.train, again]))
    assert found.shape is not None
    assert (found.shape.n_doubles, found.shape.n_repeats) == (0, 480)


def test_advice_follows_the_data() -> None:
    times = np.random.default_rng(0).permutation(len(TABLES.train)) * 9_000
    timed = advice_of(TABLES.train.set_column(3, "timestamp_s", [times]))
    assert (timed["--holdout"], timed["--repeats"], timed["--set"]) == ("time", "exclude", "data.liked_from=3")
    assert {"--items", "--users"} <= set(timed)
    (why,) = (one.why for one in describe_tables(TABLES.train).advice if one.option == "--holdout")
    assert "hardly anybody of before comes back" in why
    bare = advice_of(TABLES.train.select(["user_id", "item_id"]), items=TABLES.items)
    assert bare["--holdout"] == "random"
    assert "left out" in bare
    assert not {"--set", "--items"} & set(bare)


def test_tables_that_training_refuses_have_a_page_all_the_same(tmp_path: Path) -> None:
    csv.write_csv(pa.table({"user": [1], "thing": [2]}), tmp_path / "wrong.csv")
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["describe", str(tmp_path / "wrong.csv"), "--out", str(out)])
    assert result.exit_code == 2
    assert "error: " in result.output
    text = out.read_text(encoding="utf-8")
    assert "refused" in text
    assert "user_id" in text


def test_a_table_that_cannot_be_read_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        describe_tables(str(tmp_path / "nothing.csv"))


def test_the_verb_writes_the_page_and_prints_json(tmp_path: Path) -> None:
    csv.write_csv(TABLES.train, tmp_path / "events.csv")
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["describe", str(tmp_path / "events.csv"), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["name"], found["shape"]["n_watches"], found["years"]) == ("events.csv", 480, None)
    assert out.stat().st_size < 3_000_000


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder; name a file in it"):
        check_page(tmp_path)
    with pytest.raises(InputError, match=r"its parent .* is not a folder"):
        check_page(tmp_path / "a" / "b" / "page.html")
