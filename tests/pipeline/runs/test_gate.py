"""What is said of the gate is what the manifest holds."""

from pathlib import Path

import pytest

from belfry.pipeline.runs.gate import gate_is_open, gate_line
from belfry.pipeline.runs.reader import open_run

JUDGED = {"reason": "as measured", "n_lists": 1234, "retrieval_ndcg": 0.2, "ranker_ndcg": 0.25}
FIGURES = "on 1,234 lists of validation users NDCG@10 is 0.2500 by the ranker, 0.2000 in retrieval's order"
UNJUDGED = {"reason": "the preset has no second stage", "n_lists": 0, "retrieval_ndcg": None, "ranker_ndcg": None}


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        ({"is_open": True, **JUDGED}, f"gate open: the ranker orders the lists; {FIGURES}"),
        ({"is_open": False, **JUDGED}, f"gate closed: retrieval's order stands; {FIGURES}"),
        ({"is_open": False, **UNJUDGED}, "gate closed: retrieval's order stands; the preset has no second stage"),
    ],
)
def test_one_line(tiny_run: Path, gate: dict, line: str) -> None:
    manifest = open_run(tiny_run).manifest.model_copy(update={"notes": {"gate": gate}})
    assert gate_line(manifest) == line
    assert gate_is_open(manifest) == gate["is_open"]


def test_a_run_without_a_note_has_no_open_gate(tiny_run: Path) -> None:
    assert not gate_is_open(open_run(tiny_run).manifest.model_copy(update={"notes": {}}))
