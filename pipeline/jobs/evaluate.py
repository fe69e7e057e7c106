"""Evaluation of a run's stages beside popularity and ItemKNN on the same users."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.repeats import Repeats, kept_out
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import read_events
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.context import EvaluationContext, UserCount, make_context
from belfry.evaluation.engine import SystemScores, evaluate
from belfry.evaluation.groups import Categories
from belfry.evaluation.lists import CandidateLists, ListSource, lists_in_memory
from belfry.evaluation.plan import Plan
from belfry.evaluation.reports.attribution import attribute_loss
from belfry.evaluation.reports.comparison.result import Counterfactual
from belfry.evaluation.reports.counterfactual import Log, against_shown
from belfry.evaluation.reports.evaluation import EvaluationReport, make_report, to_json, to_markdown
from belfry.evaluation.reports.reliability import Reliability, measure_reliability
from belfry.evaluation.reports.rule_prices import rule_prices
from belfry.pipeline.jobs.feedback.log import read_log
from belfry.pipeline.jobs.later_events import later_watches, unknown_users
from belfry.pipeline.jobs.updating.fresh import with_newcomers
from belfry.pipeline.runs.writer import check_place, write_texts
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.results import COLD
from belfry.pipeline.serving.rules.apply import lists_under_rules
from belfry.pipeline.serving.rules.bound import BoundRules
from belfry.pipeline.serving.rules.config import RulesLike
from belfry.pipeline.serving.two_stage import Stage, TwoStage
from belfry.retrieval.base import RetrieverModel
from belfry.retrieval.dense import stack
from belfry.retrieval.models.history import History, HistoryConfig
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from belfry.retrieval.popularity import Popularity, PopularityConfig

POPULARITY, ITEM_KNN, RETRIEVAL, BOTH_STAGES = "popularity", "ItemKNN", "retrieval", "both stages"
ALL_RULES = "all rules"
OWN_ITEMS = "own items"  # by how often and how lately the user had them; where lists may hold them
CUTOFFS = (10, 50, 100, 500)  # of recall, as far as lists go
USERS_PER_BLOCK = 1_000
EVALUATIONS = "evaluations"  # folder beside the runs


def evaluate_published(
    artifacts: Path | None,
    test: Path,
    *,
    reading: Reading = AS_IT_IS,
    n: int,
    min_history: int,
    repeats: Repeats | None = None,
    rules: RulesLike | None = None,
    log: Path | None = None,
    log_clip: float | None = None,
    seed: int,
    out: Path | None,
    require_signature: Path | None = None,
) -> tuple[EvaluationReport, Path]:
    """Judge a run on a table of later events; returns the report and the folder that it is written to.

    A published run is sealed, so the report goes to `evaluations/<run>` beside it unless `out` is given.
    """
    recommender = Recommender.load(artifacts, require_signature=require_signature)
    folder = _place_for_report(recommender, out)
    users, items = recommender.users, recommender.items
    later = read_events(test, users, items, reading=reading)
    shown = None if log is None else read_log(log, users, items, how=reading, clip=log_clip)
    report = evaluate_run(
        recommender,
        later,
        split=test.name,
        n=n,
        min_history=min_history,
        repeats=repeats,
        rules=rules,
        log=shown,
        seed=seed,
    )
    if out is None and recommender.run.address is None:
        folder.parent.mkdir(exist_ok=True)
    save_report(report, folder)
    return report, folder


def _place_for_report(recommender: Recommender, out: Path | None) -> Path:
    """`out`, or the place beside the run; refused before anything is judged where it cannot be written."""
    evaluations = recommender.run.place.parent / EVALUATIONS
    folder = out or evaluations / recommender.run.name
    is_new = out is None and not evaluations.is_dir()
    check_place(evaluations if is_new else folder, remedy="name another folder with --out")
    return folder


def evaluate_run(
    recommender: Recommender,
    test: pa.Table,
    *,
    split: str = "test",
    n: int = 10,
    min_history: int = 1,
    repeats: Repeats | None = None,
    rules: RulesLike | None = None,
    log: Log | None = None,
    seed: int,
) -> EvaluationReport:
    """`evaluate_stages` of a published run, on a table of later events.

    Args:
        test: `user_id` and `item_id`, of the run's types; with `event` or `weight`, watches count and nothing else.
        repeats: by default what the run was trained for.
        min_history: 0 judges users without a history too, be they in the run or not, by their cold lists; not of a run
            whose towers know users by their id alone, which has none for somebody new.
        rules: each of them alone, and all together, are judged beside lists without.
        log: of what was shown, over the vocabularies of the run; tells what its lists would have earned.

    Raises:
        TableError: a column is missing, or has ids of another type than the run.
        InputError: no user can be judged.
    """
    users, items = recommender.users, recommender.items
    bound = recommender.bound(rules)
    test = later_watches(test, users, items, recommender.event_weights, policy=recommender.parts.policy)
    stages = recommender.two_stage
    if min_history == 0 and recommender.parts.reads_history:
        stages = replace(stages, features=with_newcomers(stages.features, test[columns.USER_ID]))
        users = stages.features.history.users
    return evaluate_stages(
        stages,
        Interactions.from_table(test, users=users, items=items),
        run=recommender.run.name,
        split=split,
        n=n,
        min_history=min_history,
        repeats=recommender.repeats_of(repeats=repeats),
        under_rules=_each_rule(recommender, bound) if bound else {},
        categories=_categories(bound) if bound else None,
        left_out=unknown_users(test, users),
        log=log,
        seed=seed,
    )


def evaluate_stages(
    stages: TwoStage,
    test: Interactions,
    *,
    run: str,
    split: str,
    n: int = 10,
    min_history: int = 1,
    repeats: Repeats = "exclude",
    under_rules: Mapping[str, BoundRules] = MappingProxyType({}),
    categories: Categories | None = None,
    left_out: Sequence[UserCount] = (),
    log: Log | None = None,
    seed: int,
) -> EvaluationReport:
    """Retrieval alone and both stages, beside popularity and ItemKNN: full ranking, seen items kept out or not.

    The final lists hold all that the ranker is handed in production, so that they also tell what each stage loses, and
    what its probabilities are worth. They are in memory at once: some 4 kB for each user at 200 candidates.

    Args:
        test: later events, over the vocabularies of the stages; rows of unknown items or users count for nothing.
        run: the run's name; with `split`, the head of the report.
        min_history: events that a user must have in the history to be judged.
        repeats: whether lists may hold, or hold nothing but, what their user has seen; test rows of such items then
            count, and the user's own items are one more baseline.
        under_rules: what to call them -> rules whose lists are judged beside those without.
        categories: of items, whose shares in lists are held against those in histories.
        left_out: users that the caller has left out.
        log: of what was shown; the final lists are held against it.
        seed: of the resamples.

    Raises:
        InputError: no user can be judged.
    """
    history = stages.features.history
    exclude, nothing = kept_out(history, repeats), np.zeros(0, np.int32)
    context, left = make_context(
        history, test, seen=exclude, min_history=min_history, categories=categories, told=left_out
    )
    n = min(n, len(history.items))
    depth = max(n, min(CUTOFFS[-1], len(history.items)))  # of retrieval's lists, and of the baselines'
    final_depth = max(n, min(stages.n_candidates, len(history.items)))

    def lists_of_users(asked: UserNums, stage: Stage, top_k: int) -> Iterator[Candidates]:
        return _in_blocks(lambda users: stages.lists(users, stage, n=top_k, exclude=exclude, blocked=nothing), asked)

    def lists_of(stage: Stage, top_k: int) -> Iterator[Candidates]:
        return lists_of_users(context.users, stage, top_k)

    def against(log: Log) -> Counterfactual:
        lists = CandidateLists(lists_of_users(log.users, "final", n), log.users)
        return against_shown(log, BOTH_STAGES, lists_in_memory(lists, len(log.users), n), seed=seed)

    def judged(name: str, lists: Iterator[Candidates], top_k: int) -> SystemScores:
        return judged_lists(name, CandidateLists(lists, context.users), context, n, top_k)

    def under(rules: BoundRules) -> Iterator[Candidates]:
        return _in_blocks(lambda users: lists_under_rules(stages, users, n, exclude, rules), context.users)

    final = stack(list(lists_of("final", final_depth)))
    both_stages = judged(BOTH_STAGES, iter([final]), final_depth)
    ruled = {name: judged(name, under(rules), n) for name, rules in under_rules.items()}
    return make_report(
        {
            **baselines(context, stages.features, depth, n, repeats, seed),
            RETRIEVAL: judged(RETRIEVAL, lists_of("retrieval", depth), depth),
            BOTH_STAGES: both_stages,
        },
        context,
        run=run,
        split=split,
        repeats=repeats,
        attribution=attribute_loss(final, context.users, context.test, n=n, seed=seed),
        reliability=_reliability(final, context) if stages.ranker else None,
        rules=rule_prices(both_stages, ruled, seed=seed),
        feedback=None if log is None else against(log),
        compared=(RETRIEVAL, BOTH_STAGES),
        left_out=left,
        seed=seed,
    )


def _reliability(final: Candidates, context: EvaluationContext) -> Reliability | None:
    """Of what the ranker ordered: cold places, and those below 0 that it never saw, have no probability."""
    is_cold = np.array([origin == COLD for origin in final.origins], np.bool_)[final.origin]
    return measure_reliability(final.select((final.score >= 0) & ~is_cold), context.test)


def _each_rule(recommender: Recommender, bound: BoundRules) -> dict[str, BoundRules]:
    """Each rule alone, and all together where there are several."""
    alone = {name: recommender.bound(rules) for name, rules in bound.rules.alone().items()}
    found = {name: rules for name, rules in alone.items() if rules is not None}
    return found | ({ALL_RULES: bound} if len(found) != 1 else {})


def _categories(bound: BoundRules) -> Categories | None:
    """Those that lists are calibrated by."""
    calibration = bound.rules.calibration
    if calibration is None or bound.shares is None:
        return None
    labels = bound.catalogue.columns.labels(calibration.column, "calibration").labels
    return Categories(calibration.column, labels, bound.shares.astype(np.float64))


def save_report(report: EvaluationReport, folder: Path) -> None:
    """Write `evaluation.json` and `evaluation.md` into `folder`, which is made where it is missing, or to an address.

    Raises:
        InputError: `folder` cannot be written, or is a published run, whose files are sealed.
        BelfryError: the disk is full.
    """
    write_texts(folder, {"evaluation.json": to_json(report), "evaluation.md": to_markdown(report)})


def judged_lists(name: str, lists: ListSource, context: EvaluationContext, n: int, top_k: int) -> SystemScores:
    """Scores of lists of `top_k`, of which the first `n` are shown."""
    return evaluate(lists, context, Plan.of_evaluation(name, n, depth=top_k, cutoffs=CUTOFFS))


def baselines(
    context: EvaluationContext, features: FeatureTables, top_k: int, n: int, repeats: Repeats, seed: int
) -> dict[str, SystemScores]:
    """Popularity, ItemKNN and, with repeats, the user's own items by their names, fitted on the context's history."""
    systems: dict[str, RetrieverModel] = {
        POPULARITY: Popularity(PopularityConfig()),
        ITEM_KNN: ItemKNN(ItemKNNConfig()),
    }
    if repeats != "exclude":
        systems[OWN_ITEMS] = History(HistoryConfig())
    found = {}
    for name, system in systems.items():
        system.fit(context.history, features, seed=seed)
        retrieve = partial(system.retrieve, features=features, top_k=top_k, exclude=context.seen)
        lists = CandidateLists(_in_blocks(retrieve, context.users), context.users)
        found[name] = judged_lists(name, lists, context, n, top_k)
    return found


def _in_blocks(make: Callable[[UserNums], Candidates], users: UserNums) -> Iterator[Candidates]:
    """Lists of some users at a time, made when they are asked for."""
    return (make(users[start : start + USERS_PER_BLOCK]) for start in range(0, len(users), USERS_PER_BLOCK))
