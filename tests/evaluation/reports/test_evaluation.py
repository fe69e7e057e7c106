"""The report: paired differences, JSON by its schema, Markdown and rows."""

import json
from dataclasses import replace

import numpy as np
import pytest

from belfry.evaluation.context import UserCount
from belfry.evaluation.engine import evaluate
from belfry.evaluation.intervals import KIND, N_RESAMPLES
from belfry.evaluation.lists import CandidateLists
from belfry.evaluation.plan import Plan
from belfry.evaluation.reports.attribution import attribute_loss
from belfry.evaluation.reports.evaluation import make_report, to_json, to_markdown, to_rows
from belfry.evaluation.reports.reliability import measure_reliability


@pytest.fixture
def judged(context):
    """40 users with 4 items before and 3 later, of 30."""
    generator = np.random.default_rng(0)
    parts = [{user: generator.permutation(30)[:n] + 1 for user in range(1, 41)} for n in (4, 3)]
    return context(*parts, n_items=30)


@pytest.fixture
def systems(judged, lists):
    generator = np.random.default_rng(1)

    def scores(name, length, depth):
        listed = {user: (generator.permutation(30)[:length] + 1).tolist() for user in range(1, 41)}
        plan = Plan.of_evaluation(name, 10, depth=depth, cutoffs=(50,))
        return evaluate(CandidateLists([lists(listed)], judged.users), judged, plan)

    return {"retrieval": scores("retrieval", 30, 50), "both | stages": scores("both", 10, 10)}


@pytest.fixture
def report(judged, systems, lists):
    generator = np.random.default_rng(2)
    candidates = lists({user: (generator.permutation(30)[:12] + 1).tolist() for user in range(1, 41)})
    probable = replace(candidates, score=generator.random(len(candidates)).astype(np.float32))
    return make_report(
        systems,
        judged,
        attribution=attribute_loss(candidates, judged.users, judged.test, n=10, seed=1),
        reliability=measure_reliability(probable, judged.test),
        run="run-1",
        split="random",
        repeats="exclude",
        compared=("retrieval", "both | stages"),
        left_out=[UserCount("not known to the run", 1)],
        seed=2,
    )


def test_differences_are_paired(report, systems):
    retrieval, both = systems.values()
    assert "recall@50" not in report.difference.metrics
    for name, difference in report.difference.metrics.items():
        mean = np.nanmean(both.per_user[name] - retrieval.per_user[name])
        assert difference.mean == pytest.approx(mean, abs=1e-12), name
        assert difference.low <= difference.mean <= difference.high


def test_json_keeps_its_schema(report):
    document = json.loads(to_json(report), parse_constant=pytest.fail)
    assert set(document) == {
        "format",
        "format_version",
        "run",
        "split",
        "seen_removed",
        "repeats",
        "n_users",
        "left_out",
        "interval",
        "systems",
        "difference",
        "watches",
        "attribution",
        "reliability",
        "rules",
        "feedback",
    }
    assert (document["format"], document["format_version"]) == ("belfry-evaluation", 2)
    assert document["n_users"] == 40
    assert document["left_out"] == [{"reason": "not known to the run", "n_users": 1}]
    assert document["interval"] == {"kind": "BCa bootstrap over users", "level": 0.95, "n_resamples": 10_000}
    assert f"{KIND} ({N_RESAMPLES:,} resamples)" in to_markdown(report)
    assert [system["name"] for system in document["systems"]] == ["retrieval", "both | stages"]
    retrieval = report.systems[0].metrics
    ndcg = retrieval["ndcg@10"]
    assert document["systems"][0]["metrics"]["ndcg@10"] == {
        "mean": ndcg.mean,
        "low": ndcg.low,
        "high": ndcg.high,
        "n_users": 40,
    }
    assert document["systems"][0]["metrics"]["coverage@10"] == {"mean": 1.0, "low": None, "high": None, "n_users": 40}
    assert document["difference"]["baseline"] == "retrieval"
    assert document["difference"]["system"] == "both | stages"
    assert [part["watches"] for part in document["watches"]] == ["1 to 5", "over 5"]
    assert set(document["watches"][0]["systems"][0]) == {"name", "ndcg", "share"}


def test_json_of_what_is_lost_and_of_probabilities(report):
    document = json.loads(to_json(report))
    attribution, reliability = document["attribution"], document["reliability"]
    names = ["n", "depth", "reached", "lost_by_retrieval", "lost_by_ranking", "candidate_recall"]
    assert list(attribution) == names
    assert (attribution["n"], attribution["depth"]) == (10, 12)
    assert sum(attribution[name]["mean"] for name in names[2:5]) == pytest.approx(1)
    assert attribution["lost_by_ranking"]["low"] == report.attribution.lost_by_ranking.low
    assert set(reliability) == {"n_rows", "observed", "calibration_error", "brier", "brier_of_constant", "bins"}
    assert reliability["n_rows"] == 40 * 12 == sum(part["n_rows"] for part in reliability["bins"])
    assert list(reliability["bins"][0]) == ["predicted", "observed", "n_rows"]


def test_rows_hold_one_cell_per_system(report):
    head, *rows = to_rows(report)
    assert head == ["metric", "retrieval", "both | stages", "both | stages minus retrieval"]
    by_metric = {row[0]: row[1:] for row in rows}
    assert {len(row) for row in rows} == {4}
    assert by_metric["recall@50"][1:] == ["-", "-"]
    assert by_metric["coverage@10"] == ["1.0000", "1.0000", "-"]
    ndcg = report.systems[0].metrics["ndcg@10"]
    assert by_metric["ndcg@10"][0] == f"{ndcg.mean:.4f} [{ndcg.low:.4f}, {ndcg.high:.4f}]"


def test_markdown_says_who_was_left_out(report):
    text = to_markdown(report)
    assert "40 users of split `random`; items that a user had already seen were kept out of the lists." in text
    assert "- 1 user: not known to the run." in text
    table = [line for line in text.partition("## Who")[0].splitlines() if line.startswith("|")]
    assert len(table) == len(to_rows(report)) + 1
    assert {line.replace("\\|", "").count("|") for line in table} == {5}


def test_markdown_says_where_the_loss_is_and_what_scores_are(report):
    text = to_markdown(report)
    lost = report.attribution.lost_by_retrieval
    assert f"| lost by retrieval | {lost.mean:.4f} [{lost.low:.4f}, {lost.high:.4f}] |" in text
    assert f"Retrieval loses {lost.mean:.3f}: what it did not put among its candidates" in text
    for part in report.reliability.bins:
        assert f"| {part.predicted:.4f} | {part.observed:.4f} | {part.n_rows:,} |" in text
    assert f"Brier score {report.reliability.brier:.4f}; " in text


def test_one_system_needs_no_difference(judged, lists):
    nothing = evaluate(CandidateLists([], judged.users), judged, Plan.of_evaluation("t", 1, depth=1, cutoffs=()))
    report = make_report({"table": nothing}, judged, run="t", split="time", repeats="allow", seed=0)
    assert ["novelty@1", "-"] in to_rows(report)
    text = to_markdown(report)
    assert "could appear in the lists" in text
    document = json.loads(to_json(report), parse_constant=pytest.fail)
    assert document["difference"] is document["attribution"] is document["reliability"] is None
    assert text.partition("## New and rare items")[0].rstrip().endswith("Nobody.")
    assert text.count("## ") == 2  # nothing of stages and probabilities
    assert document["systems"][0]["metrics"]["novelty@1"]["mean"] is None


def test_a_notebook_shows_it_as_a_table_of_text(report):
    html = replace(report, run="<script>alert(1)</script>")._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, random split, 40 users" in html
    assert html.count("<tr>") == len(to_rows(report))
    assert "<th>both | stages minus retrieval</th>" in html
