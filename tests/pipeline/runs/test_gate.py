"""What is said of the gate is what the manifest holds."""

from math import isnan, nan
from pathlib import Path

import pytest

from belfry.pipeline.runs.gate import Difference, Gate
from belfry.pipeline.runs.reader import open_run

EVALUATED = {"reason": "as measured", "n_lists": 1234, "retrieval_ndcg": 0.2, "ranker_ndcg": 0.25}
FIGURES = "on 1,234 lists of validation users NDCG@10 is 0.2500 by the ranker, 0.2000 in retrieval's order"


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (Gate(is_open=True, **EVALUATED), f"gate open: the ranker orders the lists; {FIGURES}"),
        (Gate(is_open=False, **EVALUATED), f"gate closed: retrieval's order stands; {FIGURES}"),
        (
            Gate(is_open=False, reason="the preset has no second stage"),
            "gate closed: retrieval's order stands; the preset has no second stage",
        ),
    ],
)
def test_one_line(gate: Gate, line: str) -> None:
    assert gate.line == line


def test_a_published_run_holds_the_whole_gate(tiny_run: Path) -> None:
    gate = open_run(tiny_run).manifest.gate
    assert gate.n_lists > 0
    assert isinstance(gate.difference, Difference)
    assert gate.ranker_ndcg is not None
    assert gate.retrieval_ndcg is not None
    assert gate.ranker_ndcg - gate.retrieval_ndcg == pytest.approx(gate.difference.mean)


def test_a_difference_without_an_interval_survives_the_manifest() -> None:
    """Fewer lists than an interval needs; the manifest says null for what is no number."""
    few = Gate(is_open=True, reason="as measured", n_lists=4, difference=Difference(mean=0.1, low=nan, high=nan))
    read = Gate.model_validate_json(few.model_dump_json())
    assert read.difference is not None
    assert read.difference.mean == 0.1
    assert isnan(read.difference.low)
    assert isnan(read.difference.high)
