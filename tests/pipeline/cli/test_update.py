"""`belfry update` and `belfry batch --history`, from a terminal."""

import json
from pathlib import Path

import pyarrow.parquet as pq
from typer.testing import CliRunner

from belfry.pipeline.cli.commands import app
from belfry.pipeline.runs.reader import current_run
from tests.pipeline.jobs.updating.world import START_S, items, later, train


def test_a_table_of_other_columns_is_taken_in_and_told(tmp_path: Path) -> None:
    artifacts = tmp_path / "runs"
    train(artifacts, items=items())
    parent = current_run(artifacts).name
    (tmp_path / "new.csv").write_text(f"who;what;timestamp_s\n2;5;{START_S + 10**7}\n1;4;{START_S + 10**7}\n")
    asked = ["update", str(artifacts), "--interactions", str(tmp_path / "new.csv"), "--quiet"]
    asked += ["--columns", "user_id=who,item_id=what", "--delimiter", ";"]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert "2 new events of 2 given" in told.stdout
    assert "1 new users, 1 new items" in told.stdout
    assert f"published {current_run(artifacts)}" in told.stdout
    again = CliRunner().invoke(app, [*asked, "--json"])
    result = json.loads(again.stdout)
    assert (result["is_published"], result["run"], result["events"]["in_the_run_already"]) == (
        False,
        current_run(artifacts).name,
        2,
    )
    assert result["parent"] == result["run"] != parent


def test_fresh_watches_for_one_table(tmp_path: Path) -> None:
    artifacts = tmp_path / "runs"
    train(artifacts)
    pq.write_table(later([(2, 4), (1, 6)]), tmp_path / "fresh.parquet")
    asked = ["batch", "--artifacts", str(artifacts), "--history", str(tmp_path / "fresh.parquet"), "--quiet"]
    told = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "table"), "-n", "4"])
    assert told.exit_code == 0, told.output
    table = pq.read_table(tmp_path / "table" / "recommendations.parquet").to_pandas()
    assert 1 in set(table["user_id"])
    assert 6 not in set(table.loc[table["user_id"] == 1, "item_id"])
    assert [path.name for path in artifacts.glob("default-*")] == [current_run(artifacts).name]
