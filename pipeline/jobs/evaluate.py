"""Evaluation of a run's stages, or of an external table, beside popularity and ItemKNN on the same users."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from belfry.dataset.candidates import Candidates
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS
from belfry.dataset.features import FeatureTables
from belfry.dataset.history import Repeats, as_repeats, kept_out
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source, read_events, read_tables
from belfry.dataset.validation.check import check, keep_repeats
from belfry.dataset.validation.policy import DEFAULT_POLICY
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.context import EvaluationContext, UserCount, make_context
from belfry.evaluation.engine import SystemScores, evaluate
from belfry.evaluation.groups import Categories
from belfry.evaluation.lists import CandidateLists, ListSource, lists_in_memory
from belfry.evaluation.plan import Plan
from belfry.evaluation.reports.attribution import attribute_loss
from belfry.evaluation.reports.comparison.result import Counterfactual
from belfry.evaluation.reports.counterfactual import Log, Policy, against_shown, evaluate_log
from belfry.evaluation.reports.evaluation import EvaluationReport, make_report, to_json, to_markdown
from belfry.evaluation.reports.reliability import measure_reliability
from belfry.evaluation.reports.rule_prices import rule_prices
from belfry.evaluation.table_lists import open_lists, repeats_of_table
from belfry.pipeline.jobs.feedback.log import policies_of, read_log
from belfry.pipeline.jobs.later_events import later_watches, unknown_users
from belfry.pipeline.runs.disk import check_writable, explain_failed_writes, write_together
from belfry.pipeline.serving.recommender import Recommender
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
    if out is None:
        folder.parent.mkdir(exist_ok=True)
    save_report(report, folder)
    return report, folder


def _place_for_report(recommender: Recommender, out: Path | None) -> Path:
    """`out`, or the place beside the run; refused before anything is judged where it cannot be written."""
    evaluations = recommender.run.folder.parent / EVALUATIONS
    folder = out or evaluations / recommender.run.name
    is_new = out is None and not evaluations.is_dir()
    check_writable(evaluations if is_new else folder, remedy="name another folder with --out")
    return folder


def evaluate_run(
    recommender: Recommender,
    test: pa.Table,
    *,
    split: str = "test",
    n: int = 10,
    depth: int = 500,
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
        rules: each of them alone, and all together, are judged beside lists without.
        log: of what was shown, over the vocabularies of the run; tells what its lists would have earned.

    Raises:
        TableError: a column is missing, or has ids of another type than the run.
        InputError: no user can be judged.
    """
    users, items = recommender.users, recommender.items
    bound = recommender.bound(rules)
    test = later_watches(test, users, items, recommender.event_weights, policy=recommender.parts.policy)
    return evaluate_stages(
        recommender.two_stage,
        Interactions.from_table(test, users=users, items=items),
        run=recommender.run.name,
        split=split,
        n=n,
        depth=depth,
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
    depth: int = 500,
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
        depth: length of retrieval's lists, and of the baselines'.
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
    depth = max(n, min(depth, len(history.items)))
    final_depth = max(n, min(stages.n_candidates, len(history.items)))

    def lists_of_users(asked: UserNums, stage: Stage, top_k: int) -> Iterator[Candidates]:
        return _in_blocks(lambda users: stages.lists(users, stage, n=top_k, exclude=exclude, blocked=nothing), asked)

    def lists_of(stage: Stage, top_k: int) -> Iterator[Candidates]:
        return lists_of_users(context.users, stage, top_k)

    def against(log: Log) -> Counterfactual:
        lists = CandidateLists(lists_of_users(log.users, "final", n), log.users)
        return against_shown(log, BOTH_STAGES, lists_in_memory(lists, len(log.users), n), seed=seed)

    def judged(name: str, lists: Iterator[Candidates], top_k: int) -> SystemScores:
        return _judged(name, CandidateLists(lists, context.users), context, n, top_k)

    def under(rules: BoundRules) -> Iterator[Candidates]:
        return _in_blocks(lambda users: lists_under_rules(stages, users, n, exclude, rules), context.users)

    final = stack(list(lists_of("final", final_depth)))
    both_stages = judged(BOTH_STAGES, iter([final]), final_depth)
    ruled = {name: judged(name, under(rules), n) for name, rules in under_rules.items()}
    return make_report(
        {
            **_baselines(context, stages.features, depth, n, repeats, seed),
            RETRIEVAL: judged(RETRIEVAL, lists_of("retrieval", depth), depth),
            BOTH_STAGES: both_stages,
        },
        context,
        run=run,
        split=split,
        repeats=repeats,
        attribution=attribute_loss(final, context.users, context.test, n=n, seed=seed),
        # Below 0 are places that the ranker never saw, where `n` is beyond its depth; they have no probability.
        reliability=measure_reliability(final.select(final.score >= 0), context.test) if stages.ranker else None,
        rules=rule_prices(both_stages, ruled, seed=seed),
        feedback=None if log is None else against(log),
        compared=(RETRIEVAL, BOTH_STAGES),
        left_out=left,
        seed=seed,
    )


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


def evaluate_table(
    recommendations: Source,
    train: Source,
    test: Source,
    *,
    items: Source | None = None,
    reading: Reading = AS_IT_IS,
    name: str = "table",
    split: str = "test",
    n: int = 10,
    min_history: int = 1,
    repeats: Repeats | None = None,
    seen_removed: bool | None = None,
    log: Source | None = None,
    log_clip: float | None = None,
    seed: int,
) -> EvaluationReport:
    """Any table of lists, beside popularity and ItemKNN fitted on `train`. A user without a row counts with zeros.

    Args:
        recommendations: `user_id`, `item_id` and `rank` or `score`.
        train: what the users did before.
        test: what they did later: `user_id` and `item_id`; with `event` or `weight`, watches count and nothing else.
        items: where given, its items belong to the catalogue too.
        reading: what the tables do not say themselves.
        name: what the report calls the table.
        split: what it calls the test part.
        repeats: "exclude" refuses lists with items that their user has seen, and keeps them out of the baselines,
            "allow" does not, "only" refuses all others; by default what the table's metadata say, else "exclude".
        seen_removed: True says repeats="exclude", False "allow".
        log: of what was shown, `user_id`, `item_id`, `reward` and `propensity`; tells what the lists would have earned.
        log_clip: weights above it are cut.
        seed: of the resamples.

    Raises:
        TableError: a table cannot be judged; the message says why.
        InputError: no user can be judged.
    """
    repeats = as_repeats(seen_removed, repeats) or repeats_of_table(recommendations) or "exclude"
    tables = read_tables(train, items, reading=reading)
    policy = DEFAULT_POLICY if repeats == "exclude" else keep_repeats(DEFAULT_POLICY, tables)
    checked, report = check(tables, policy, can_set=False)
    report.tell()
    data = prepare(checked)
    history, features = data.interactions, data.features(data.interactions)
    users, items = history.users, history.items
    n = min(n, len(items))
    later = later_watches(read_events(test, users, items, reading=reading), users, items, DEFAULT_EVENT_WEIGHTS)
    context, left_out = make_context(
        history,
        Interactions.from_table(later, users=users, items=items),
        seen=kept_out(history, repeats),
        min_history=min_history,
        told=unknown_users(later, users),
    )
    with tempfile.TemporaryDirectory() as folder, explain_failed_writes(Path(folder)):
        lists = open_lists(recommendations, context, Path(folder), label=name, reading=reading)
        top_k = max(n, lists.info.longest_list)
        scores = _judged(name, lists, context, n, top_k)
        feedback = None
        if log is not None:
            shown, again = read_log(log, users, items, how=reading, clip=log_clip), Path(folder) / "log"
            again.mkdir()
            of_log = partial(open_lists, recommendations, folder=again, label=name, reading=reading)
            (judged,) = policies_of(shown, context, {name: of_log}, n)
            feedback = evaluate_log(shown, Policy.as_shown(shown), judged, seed=seed)
    return make_report(
        {**_baselines(context, features, top_k, n, repeats, seed), name: scores},
        context,
        run=name,
        split=split,
        repeats=repeats,
        compared=(ITEM_KNN, name),
        feedback=feedback,
        left_out=left_out,
        seed=seed,
    )


def save_report(report: EvaluationReport, folder: Path) -> None:
    """Write `evaluation.json` and `evaluation.md` into `folder`, which is made where it is missing.

    Raises:
        InputError: `folder` cannot be written, or is a published run, whose files are sealed.
        BelfryError: the disk is full.
    """
    write_together(folder, {"evaluation.json": to_json(report), "evaluation.md": to_markdown(report)})


def _judged(name: str, lists: ListSource, context: EvaluationContext, n: int, top_k: int) -> SystemScores:
    return evaluate(lists, context, Plan.of_evaluation(name, n, depth=top_k, cutoffs=CUTOFFS))


def _baselines(
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
        found[name] = _judged(name, lists, context, n, top_k)
    return found


def _in_blocks(make: Callable[[UserNums], Candidates], users: UserNums) -> Iterator[Candidates]:
    """Lists of some users at a time, made when they are asked for."""
    return (make(users[start : start + USERS_PER_BLOCK]) for start in range(0, len(users), USERS_PER_BLOCK))
