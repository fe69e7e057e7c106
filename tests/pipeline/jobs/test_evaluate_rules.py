"""What rules cost: each alone and all together, against lists without, by hand where the answer is known."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from belfry.evaluation.reports.evaluation import EvaluationReport, to_json, to_markdown
from belfry.pipeline.jobs.evaluate import evaluate_run
from belfry.pipeline.serving.recommender import Recommender


def first_places(shaped: Recommender) -> pa.Table:
    """Of every user, what stands first in their list: lists without rules are perfect."""
    return shaped.recommend_many(shaped.users.ids, 1).select(["user_id", "item_id"])


def report_of(shaped: Recommender, rules: dict[str, object]) -> EvaluationReport:
    return evaluate_run(shaped, first_places(shaped), n=5, rules=rules, seed=0)


def test_each_rule_has_its_price(shaped: Recommender) -> None:
    test = first_places(shaped)
    denied = test["item_id"][0].as_py()
    n_hit = sum(item == denied for item in test["item_id"].to_pylist())
    report = report_of(shaped, {"deny": [denied], "diversity": {"weight": 0.9}, "calibration": {"weight": 0.9}})
    prices = {price.rule: price for price in report.rules}
    assert [*prices] == ["deny", "diversity", "calibration", "all rules"]
    assert prices["deny"].metrics["ndcg@5"].mean == pytest.approx(1 - n_hit / len(test))
    assert prices["deny"].changes["ndcg@5"].mean == pytest.approx(-n_hit / len(test))
    assert prices["diversity"].changes["ndcg@5"].mean <= 0
    assert prices["calibration"].changes["miscalibration@5"].mean < 0
    assert next(system for system in report.systems if system.name == "both stages").metrics["ndcg@5"].mean == 1


def test_one_rule_is_told_once_and_none_not_at_all(shaped: Recommender) -> None:
    assert [price.rule for price in report_of(shaped, {"where": "year > 1995"}).rules] == ["where"]
    report = evaluate_run(shaped, first_places(shaped), n=5, seed=0)
    assert report.rules == () and "miscalibration@5" not in report.systems[0].metrics
    assert "What each rule costs" not in to_markdown(report) and json.loads(to_json(report))["rules"] == []


def test_the_report_says_it(shaped: Recommender) -> None:
    report = report_of(shaped, {"where": "year > 1995", "at_most": {"genres": 1}})
    text, document = to_markdown(report), json.loads(to_json(report))
    assert "## What each rule costs" in text
    assert [line.split(" |")[0] for line in text.splitlines() if line.startswith(("| where", "| at\\_most", "| all r"))]
    assert [price["rule"] for price in document["rules"]] == ["where", "at_most", "all rules"]
    assert document["rules"][0]["changes"]["ndcg@5"]["mean"] < 0


def test_the_verbs_take_rules(shaped_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from belfry.pipeline.cli.commands import app

    rules, test = tmp_path / "rules.toml", tmp_path / "test.csv"
    rules.write_text("at_most = { artist = 1 }\n")
    first_places(Recommender.load(shaped_run)).to_pandas().to_csv(test, index=False)

    def call(*arguments: object) -> str:
        done = CliRunner().invoke(app, [*map(str, arguments)])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    listed = call("recommend", 1, "-n", 9, "--rules", rules, "--where", "year > 1994", "--artifacts", shaped_run)
    lines = listed.splitlines()
    assert lines[-1].strip().endswith("of 9: 25 of 30 items may be listed, at most 1 of each label of 'artist'")
    assert len(lines) - 2 <= 5
    out = tmp_path / "lists"
    written = call(*("batch", "--out", out, "-n", 9, "--rules", rules, "--quiet", "--artifacts", shaped_run))
    assert "shorter lists: 40" in written
    call(*("batch", "--out", tmp_path / "text", "--format", "csv", "--explain", "--quiet", "--artifacts", shaped_run))
    assert "watched_share" in (tmp_path / "text" / "recommendations.csv").read_text().partition("\n")[0]
    judged = call("evaluate", "--test", test, "--rules", rules, "--artifacts", shaped_run, "--out", tmp_path / "report")
    assert "what each rule costs" in judged and "at_most" in judged
    refused = CliRunner().invoke(
        app,
        ["evaluate", "--test", str(test), "--rules", str(rules), "--recommendations", str(out), "--train", str(test)],
    )
    assert refused.exit_code == 2 and "made already" in " ".join(refused.output.replace("│", " ").split())
