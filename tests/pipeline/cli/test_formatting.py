"""What the verbs print."""

from belfry.evaluation.context import UserCount
from belfry.evaluation.intervals import Interval
from belfry.evaluation.reports.evaluation import Difference, EvaluationReport, System
from belfry.pipeline.cli.formatting import show_report, show_seconds
from belfry.pipeline.stopwatch import Stopwatch


def test_where_the_time_went(capsys):
    stopwatch = Stopwatch()
    for stage in ("ranker", "export"):
        with stopwatch.stage(stage):
            sum(range(1_000_000))
    show_seconds(stopwatch)
    shown = capsys.readouterr().out
    places = [shown.index(word) for word in ("stage", "CPU s", "wall s", "ranker", "export", "the rest", "total")]
    assert places == sorted(places)
    assert "100%" in shown


def test_no_figure_is_cut_in_a_terminal_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    values = {"intra_list_diversity@10": 0.6136, "mean_popularity@10": 15.6001, "novelty@10": 1.5269}
    metrics = {name: Interval(value, value, value, 9) for name, value in values.items()}
    names = ("popularity", "ItemKNN", "own items", "retrieval", "both stages")
    difference = Difference("retrieval", "both stages", metrics)
    systems = tuple(System(name, metrics) for name in names)
    show_report(EvaluationReport("run", "test", False, "allow", 9, (), systems, difference))
    shown = capsys.readouterr().out
    assert [shown.count(f"{value:.4f}") for value in values.values()] == [6, 6, 6]
    assert "…" not in shown


def test_who_was_left_out_of_an_evaluation_is_on_screen(capsys):
    systems = (System("both stages", {"ndcg@10": Interval(0.5, 0.4, 0.6, 9)}),)
    left_out = (UserCount("not in the training data (3 test rows)", 1), UserCount("in part: 9 test rows", 1200))
    show_report(EvaluationReport("run", "test", False, "exclude", 9, left_out, systems, None))
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "left out: 1 user: not in the training data (3 test rows)",
        "left out: 1,200 users: in part: 9 test rows",
    ]
