"""Gate evaluation: which orders of validation lists open the gate."""

from dataclasses import replace

import pytest

from belfry.pipeline.training.gate_evaluation import evaluate_gate
from belfry.ranking.listwise.score_blend import RETRIEVAL
from tests.contracts.ranker import VALIDATION


def test_gate_opens_for_a_better_order_only() -> None:
    lists = replace(VALIDATION.lists, names=(RETRIEVAL, *VALIDATION.lists.names[1:]))  # retrieval's order is noise
    validation = replace(VALIDATION, lists=lists)
    better = evaluate_gate(validation, lists.column("signal"), seed=0)
    assert better.is_open
    assert better.ranker_ndcg == 1
    assert better.retrieval_ndcg == pytest.approx(validation.ndcg(lists.column(RETRIEVAL)).mean())
    assert better.n_lists == 20
    assert better.difference is not None
    assert better.difference.low > 0
    assert "is better than retrieval's order on validation users" in better.reason
    for scores in (lists.column(RETRIEVAL), -lists.column("signal")):  # the same is not better
        gate = evaluate_gate(validation, scores, seed=0)
        assert not gate.is_open
        assert "is no better than retrieval's order" in gate.reason


def test_tolerant_gate_opens_for_what_is_not_clearly_worse() -> None:
    """One list in twenty loses its order: a standard error below, or less."""
    lists = replace(VALIDATION.lists, names=("noise", RETRIEVAL))  # retrieval's order is the best there is
    validation = replace(VALIDATION, lists=lists)
    scores = lists.column(RETRIEVAL).copy()
    scores[lists.row_list == 0] *= -1
    loss = (validation.ndcg(lists.column(RETRIEVAL)) - validation.ndcg(scores)).mean()
    strict, tolerant = (evaluate_gate(validation, scores, seed=0, tolerance=tolerance) for tolerance in (0, 1.2))
    assert (strict.is_open, tolerant.is_open) == (False, True)
    assert "is not clearly worse than retrieval's order" in tolerant.reason
    assert tolerant.difference.mean == pytest.approx(-loss)
    assert not evaluate_gate(validation, -lists.column(RETRIEVAL), seed=0, tolerance=1.2).is_open
    the_same = lists.column(RETRIEVAL)
    assert not evaluate_gate(validation, the_same, seed=0, tolerance=1.2).is_open
