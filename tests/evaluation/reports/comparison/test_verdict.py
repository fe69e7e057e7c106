"""The rule of the verdict, and that its text names size, uncertainty and next step."""

import math
from dataclasses import replace

import pytest

from belfry.dataset.errors import InputError
from belfry.evaluation.reports.comparison.result import Difference, Guardrail, SeedAnalysis, Slice
from belfry.evaluation.reports.comparison.verdict import Evidence, Limit, decide, judge_guardrail

NAN = math.nan


def difference(value, low, high, *, metric="ndcg@10", better="higher", baseline=0.2):
    return Difference(
        metric, better, baseline, baseline + value, value, low, high, value / baseline, 500,
        0.01, 0.01, 0.01, 0.02, 0.02, 0.2, 200, 200, 100, 0.012,
    )  # fmt: skip


def evidence(primary, p, *, guardrails=(), seeds=None, n_challengers=1, slices=()):
    return Evidence("old", "new", primary, p, guardrails, seeds, n_challengers, slices)


BROKEN = Guardrail("coverage@10", -0.2, True, -0.4, NAN, NAN, "broken")
HELD = Guardrail("hit_rate@10", -0.05, True, 0.0, -0.01, 0.01, "held")


@pytest.mark.parametrize(
    ("primary", "p", "guardrails", "outcome"),
    [
        (difference(0.02, 0.01, 0.03), 0.001, (HELD,), "better"),
        (difference(0.02, 0.01, 0.03), 0.001, (HELD, BROKEN), "guardrail broken"),
        (difference(-0.02, -0.03, -0.01), 0.001, (HELD,), "worse"),
        (difference(-0.02, -0.03, -0.01), 0.001, (BROKEN,), "worse"),
        (difference(0.01, -0.01, 0.03), 0.3, (HELD,), "not shown"),
        (difference(0.01, -0.01, 0.03), 0.3, (BROKEN,), "guardrail broken"),
        (difference(0.02, 0.001, 0.03), 0.06, (), "not shown"),  # both must agree
        (difference(0.02, -0.001, 0.03), 0.04, (), "not shown"),
        (difference(0.02, NAN, NAN), NAN, (), "not shown"),  # too few users
        (difference(-0.1, -0.2, -0.05, metric="gini@10", better="lower"), 0.001, (), "better"),
    ],
)
def test_the_rule(primary, p, guardrails, outcome):
    verdict = decide(evidence(primary, p, guardrails=guardrails))
    assert verdict.outcome == outcome
    assert verdict.size.startswith("Size: ")
    assert verdict.uncertainty.startswith("Uncertainty: ")
    assert verdict.next_step.startswith("Next step: ")


def test_a_gain_is_told_with_size_uncertainty_and_next_step():
    lost = Slice("age", "over 60", 40, 0.2, 0.1, -0.1, -0.15, -0.05, 0.001, 0.01, 0.01)
    verdict = decide(evidence(difference(0.02, 0.01, 0.03), 0.004, slices=(lost,)))
    assert verdict.headline == "new is better than old in NDCG@10."
    assert "0.2000 for old and 0.2200 for new, a difference of +0.0200, +10.0% of old's value" in verdict.size
    assert "Of 500 users, 40% get a better list by new, 20% a worse one, 40% neither" in verdict.size
    assert "between +0.0100 and +0.0300" in verdict.uncertainty
    assert "in about 1 of 250 such comparisons" in verdict.uncertainty
    assert "from 0.0120 up (found in 80% of cases)" in verdict.uncertainty
    assert "try new on real traffic. It is worse for some: age: over 60." in verdict.next_step


def test_nothing_shown_is_no_proof_of_equality_and_says_how_many_users_are_wanted():
    verdict = decide(evidence(difference(0.006, -0.002, 0.014), 0.14))
    assert "not shown that new differs from old" in verdict.headline
    assert "do not read this as proof that both are equal" in verdict.next_step
    assert "about 2,000 users" in verdict.next_step  # (0.012 / 0.006)^2 * 500
    assert "beyond 0.0140" in verdict.next_step


def test_runs_of_training_decide_by_the_wider_interval():
    seeds = SeedAnalysis(3, 3, 0.02, 0.005, 0.015, 3.1, -0.03, 0.07, 0.3)
    verdict = decide(evidence(difference(0.02, 0.01, 0.03), 0.3, seeds=seeds))
    assert verdict.outcome == "not shown"
    assert "90% of the variance of the difference comes from training" in verdict.uncertainty


def test_too_few_users_and_equal_tables_are_told():
    few = replace(difference(0.02, NAN, NAN), n_users=6, detectable=NAN)
    assert "6 users are too few" in decide(evidence(few, NAN)).uncertainty
    alike = replace(difference(0.0, NAN, NAN), n_users=30, wins=0, ties=30, losses=0, detectable=NAN)
    verdict = decide(evidence(alike, 1.0))
    assert "give each of these 30 users lists of equal value; so few say little" in verdict.uncertainty
    assert "meant to be different" in verdict.next_step
    same = difference(0.0, 0.0, 0.0)
    assert "meant to be different" in decide(evidence(same, 1.0)).next_step


@pytest.mark.parametrize(
    ("text", "change", "low", "high", "state"),
    [
        ("hit_rate@10=-5%", -0.03, -0.04, -0.02, "broken"),
        ("hit_rate@10=-5%", -0.01, -0.02, 0.0, "unclear"),
        ("hit_rate@10=-5%", 0.0, -0.005, 0.005, "held"),
        ("hit_rate@10=+0.01", 0.03, 0.02, 0.04, "broken"),
        ("hit_rate@10=-0.01", -0.03, NAN, NAN, "broken"),
        ("hit_rate@10=-0.01", NAN, NAN, NAN, "not measured"),
    ],
)
def test_guardrails(text, change, low, high, state):
    measured = difference(change, low, high, metric="hit_rate@10")
    assert judge_guardrail(Limit.parse(text), [measured]).state == state


@pytest.mark.parametrize("text", ["hit_rate@10", "hit_rate=-5%", "hit_rate@10=5%", "hit_rate@10=-x"])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="wanted METRIC@N=CHANGE with a sign"):
        Limit.parse(text)


def test_a_guardrail_on_nothing_measured_names_what_there_is():
    with pytest.raises(InputError, match=r"no such metric here; there are hit_rate@10"):
        judge_guardrail(Limit.parse("speed@10=-5%"), [difference(0, 0, 0, metric="hit_rate@10")])
