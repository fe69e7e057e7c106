"""The report: paired differences, JSON by its schema, Markdown and rows."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.evaluation.intervals import Interval
from belfry.evaluation.reports.attribution import attribute_loss
from belfry.evaluation.reports.evaluation import make_report, to_json, to_markdown, to_rows
from belfry.evaluation.reports.reliability import measure_reliability
from belfry.evaluation.systems import LeftOut, SystemResult, evaluate_lists


@pytest.fixture
def report(events, lists):
    generator = np.random.default_rng(0)
    users, items = range(1, 41), np.arange(1, 31)
    history = events({user: generator.permutation(items)[:4] for user in users}, n_users=41, n_items=30)
    test = events({user: generator.permutation(items)[:3] for user in users}, n_users=41, n_items=30).seen_items
    asked = [*users, 41]

    def judge(name, length, top_k):
        listed = {user: generator.permutation(items)[:length].tolist() for user in asked}
        return evaluate_lists(name, lists(listed), test, history, top_k=top_k, seed=1)

    users_num = np.array(users, np.int32)
    candidates = lists({user: generator.permutation(items)[:12].tolist() for user in users})
    probable = replace(candidates, score=generator.random(len(candidates)).astype(np.float32))
    return make_report(
        [judge("retrieval", 30, 50), judge("both | stages", 10, 10)],
        attribution=attribute_loss(candidates, users_num, test, n=10, seed=1),
        reliability=measure_reliability(probable, test),
        run="run-1",
        split="random",
        seen_removed=True,
        compared=("retrieval", "both | stages"),
        left_out=[LeftOut("not known to the run", 1)],
        seed=2,
    )


def test_differences_are_paired(report):
    retrieval, both = report.systems
    assert "recall@50" not in report.difference.metrics
    for name, difference in report.difference.metrics.items():
        mean = np.nanmean(both.per_user[name] - retrieval.per_user[name])
        assert difference.mean == pytest.approx(mean, abs=1e-12), name
        assert difference.low <= difference.mean <= difference.high


def test_json_keeps_its_schema(report):
    document = json.loads(to_json(report), parse_constant=pytest.fail)
    assert list(document) == [
        "format",
        "format_version",
        "run",
        "split",
        "seen_removed",
        "n_users",
        "left_out",
        "interval",
        "systems",
        "difference",
        "attribution",
        "reliability",
    ]
    assert (document["format"], document["format_version"]) == ("belfry-evaluation", 1)
    assert document["n_users"] == 40
    assert document["left_out"] == [
        {"reason": "not known to the run", "n_users": 1},
        {"reason": "asked for, but without a known item in the test part", "n_users": 1},
    ]
    assert document["interval"] == {"kind": "bootstrap percentile over users", "level": 0.95, "n_resamples": 2000}
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


def test_json_of_what_is_lost_and_of_probabilities(report):
    document = json.loads(to_json(report))
    attribution, reliability = document["attribution"], document["reliability"]
    names = ["n", "depth", "reached", "lost_by_retrieval", "lost_by_ranking", "candidate_recall"]
    assert list(attribution) == names
    assert (attribution["n"], attribution["depth"]) == (10, 12)
    assert sum(attribution[name]["mean"] for name in names[2:5]) == pytest.approx(1)
    assert attribution["lost_by_ranking"]["low"] == report.attribution.lost_by_ranking.low
    assert list(reliability) == ["n_rows", "observed", "calibration_error", "brier", "brier_of_constant", "bins"]
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
    assert "- 1 user: asked for, but without a known item in the test part." in text
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


def system(name, users, **metrics):
    return SystemResult(name, metrics, np.array(users, np.int32), {})


def test_one_system_needs_no_difference():
    nothing = Interval.of_all_lists(math.nan, 0)
    report = make_report(
        [system("table", [1], **{"novelty@10": nothing})], run="t", split="time", seen_removed=False, seed=0
    )
    assert to_rows(report) == [["metric", "table"], ["novelty@10", "-"]]
    text = to_markdown(report)
    assert "could appear in the lists" in text
    document = json.loads(to_json(report), parse_constant=pytest.fail)
    assert document["difference"] is document["attribution"] is document["reliability"] is None
    assert text.rstrip().endswith("Nobody.")
    assert document["systems"][0]["metrics"]["novelty@10"]["mean"] is None


def test_systems_judged_on_different_users_are_refused():
    with pytest.raises(InputError, match="'a' was judged on 2 users and 'b' on 2 users, who are not the same"):
        make_report([system("a", [1, 2]), system("b", [1, 3])], run="r", split="s", seen_removed=True, seed=0)
