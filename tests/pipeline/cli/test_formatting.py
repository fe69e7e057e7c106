"""What the verbs print."""

from belfry.pipeline.cli.formatting import show_seconds
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
