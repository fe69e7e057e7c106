"""From scored systems to the whole comparison: the first system is the baseline, each other one a challenger."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.dataset.errors import InputError
from belfry.evaluation.context import EvaluationContext, UserCount
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.intervals import MIN_USERS, N_RESAMPLES
from belfry.evaluation.metrics import PerUser
from belfry.evaluation.registry import better
from belfry.evaluation.reports.comparison.changes import changes, examples, histogram
from belfry.evaluation.reports.comparison.inference import ALPHA, N_FLIPS, POWER, Tested, compare_columns, correct
from belfry.evaluation.reports.comparison.judged import Choices, ScoredSystem, judged_users, notes_on
from belfry.evaluation.reports.comparison.result import (
    FORMAT,
    FORMAT_VERSION,
    Challenger,
    Comparison,
    Counterfactual,
    Difference,
    SeedAnalysis,
    Settings,
    System,
    Verification,
)
from belfry.evaluation.reports.comparison.seeds import analyse_seeds
from belfry.evaluation.reports.comparison.slices import slices
from belfry.evaluation.reports.comparison.verdict import Evidence, decide, judge_guardrail
from belfry.evaluation.reports.counterfactual import Log, Policy, evaluate_log


def make_comparison(
    systems: Sequence[ScoredSystem],
    context: EvaluationContext,
    choices: Choices,
    *,
    left_out: Sequence[UserCount] = (),
    notes: Sequence[str] = (),
    logged: tuple[Log, Sequence[Policy]] | None = None,
    versions: dict[str, str],
) -> Comparison:
    """Test every challenger against the first system and put all that was found together.

    Args:
        logged: a log of what was shown, and how the lists of each system stand to it.

    Raises:
        InputError: no user has lists to compare, or the primary metric or a guardrail's is not there.
    """
    merged = [system.merged for system in systems]
    judged, gone = judged_users(systems, choices)
    if choices.primary not in merged[0].per_user:
        there = ", ".join(merged[0].per_user)
        raise InputError(f"primary metric {choices.primary!r}: not measured per user here; there are {there}")
    tested = [_test(merged[0], other, judged, choices) for other in merged[1:]]
    seeds = [_seeds(systems[0], other, judged, choices.primary) for other in systems[1:]]
    p_primary = correct(
        [
            table[choices.primary].p_randomisation
            if one is None
            else max(one.p, table[choices.primary].p_randomisation)
            for table, one in zip(tested, seeds, strict=True)
        ]
    ).holm
    challengers = [
        _challenger(systems, merged, place, table, one, float(p), judged, context, choices, logged)
        for place, (table, one, p) in enumerate(zip(tested, seeds, p_primary, strict=True), 1)
    ]
    return Comparison(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        created_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        versions=versions,
        baseline=systems[0].name,
        settings=Settings(
            primary=choices.primary,
            cutoffs=choices.plan.cutoffs,
            n=choices.plan.n,
            alpha=ALPHA,
            power=POWER,
            n_resamples=N_RESAMPLES,
            n_flips=N_FLIPS,
            seed=choices.seed,
            seen_allowed=choices.repeats != "exclude",
            liked_from=math.nan if context.liked_from is None else context.liked_from,
            repeats=choices.repeats,
        ),
        verification=Verification(
            n_users=int(judged.sum()),
            n_test_rows=int(context.test.count(context.users[judged]).sum()),
            n_train_rows=len(context.history),
            n_items=len(context.history.items),
            tables=tuple(table for system in systems for table in system.tables),
            left_out=(*left_out, *gone),
            notes=(*notes, *notes_on(systems, choices, judged)),
        ),
        systems=tuple(
            System(
                system.name,
                tuple(table.label for table in system.tables),
                {name: _mean(values[judged]) for name, values in scores.per_user.items()} | scores.of_all,
                system.costs,
            )
            for system, scores in zip(systems, merged, strict=True)
        ),
        challengers=tuple(challengers),
    )


def _test(baseline: SystemScores, other: SystemScores, judged: Mask, choices: Choices) -> dict[str, Tested]:
    changes = ((other.per_user[name] - values)[judged] for name, values in baseline.per_user.items())
    tested = compare_columns(changes, n_users=int(judged.sum()), seed=choices.seed)
    return dict(zip(baseline.per_user, tested, strict=True))


def _seeds(baseline: ScoredSystem, other: ScoredSystem, judged: Mask, primary: str) -> SeedAnalysis | None:
    if len(baseline.runs) == len(other.runs) == 1 or judged.sum() < MIN_USERS:
        return None
    sides = [np.column_stack([run.per_user[primary][judged] for run in system.runs]) for system in (baseline, other)]
    defined = ~np.isnan(np.column_stack(sides)).any(axis=1)
    return analyse_seeds(*(side[defined] for side in sides))


def _challenger(
    systems: Sequence[ScoredSystem],
    merged: Sequence[SystemScores],
    place: int,
    tested: dict[str, Tested],
    seeds: SeedAnalysis | None,
    p: float,
    judged: Mask,
    context: EvaluationContext,
    choices: Choices,
    logged: tuple[Log, Sequence[Policy]] | None,
) -> Challenger:
    baseline, other, primary = merged[0], merged[place], choices.primary
    differences = _differences(baseline, other, tested, judged, primary)
    guardrails = tuple(judge_guardrail(limit, differences) for limit in choices.limits)
    sides = (baseline.per_user[primary], other.per_user[primary])
    change = np.where(judged, sides[1] - sides[0], np.nan)
    found = slices(context, baseline, other, primary, judged=judged, seed=choices.seed)
    gain = -change if better(primary) == "lower" else change
    losers, winners = examples(gain, sides, (baseline, other), context)
    evidence = Evidence(
        baseline=systems[0].name,
        challenger=systems[place].name,
        primary=differences[0],
        p=p,
        guardrails=guardrails,
        seeds=seeds,
        n_challengers=len(systems) - 1,
        slices=found,
    )
    return Challenger(
        name=systems[place].name,
        verdict=decide(evidence),
        p_primary=p,
        metrics=differences,
        guardrails=guardrails,
        seeds=seeds,
        histogram=histogram(change),
        slices=found,
        losers=losers,
        winners=winners,
        changes=changes(baseline, other, context),
        counterfactual=_counterfactual(logged, place, choices.seed) if logged else None,
    )


def _counterfactual(logged: tuple[Log, Sequence[Policy]], place: int, seed: int) -> Counterfactual:
    log, policies = logged
    return evaluate_log(log, policies[0], policies[place], seed=seed)


def _differences(
    baseline: SystemScores, other: SystemScores, tested: dict[str, Tested], judged: Mask, primary: str
) -> tuple[Difference, ...]:
    """Per-user metrics, the primary one first, then those of all lists together."""
    corrected = correct([one.p_randomisation for one in tested.values()])
    rows = []
    for (name, one), holm, bh in zip(tested.items(), corrected.holm, corrected.benjamini_hochberg, strict=True):
        first, second = baseline.per_user[name][judged], other.per_user[name][judged]
        both = ~(np.isnan(first) | np.isnan(second))  # means of the same users, so that they differ by the difference
        rows.append(_difference(name, one, _mean(first[both]), _mean(second[both]), float(holm), float(bh)))
    rows.sort(key=lambda row: row.metric != primary)
    for name, value in baseline.of_all.items():
        change = Tested(other.of_all[name] - value, int(judged.sum()))
        rows.append(_difference(name, change, value, other.of_all[name], math.nan, math.nan))
    return tuple(rows)


def _difference(
    name: str, tested: Tested, baseline: float, challenger: float, holm: float, benjamini_hochberg: float
) -> Difference:
    return Difference(
        metric=name,
        better=better(name),
        baseline=baseline,
        challenger=challenger,
        difference=tested.difference,
        low=tested.low,
        high=tested.high,
        relative=tested.difference / abs(baseline) if baseline else math.nan,
        n_users=tested.n_users,
        p_t=tested.p_t,
        p_wilcoxon=tested.p_wilcoxon,
        p_randomisation=tested.p_randomisation,
        p_holm=holm,
        p_benjamini_hochberg=benjamini_hochberg,
        effect_size=tested.effect_size,
        wins=tested.wins,
        ties=tested.ties,
        losses=tested.losses,
        detectable=tested.detectable,
    )


def _mean(values: PerUser) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else math.nan
