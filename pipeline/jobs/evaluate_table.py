"""Evaluation of a table of lists, whoever made it, beside popularity and ItemKNN on the same users."""

import tempfile
from functools import partial
from pathlib import Path

from belfry.dataset import columns
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS
from belfry.dataset.history.repeats import Repeats, as_repeats, kept_out
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source, read_events, read_tables
from belfry.dataset.validation.check import check, keep_repeats
from belfry.dataset.validation.policy import DEFAULT_POLICY
from belfry.evaluation.context import make_context
from belfry.evaluation.reports.counterfactual import Policy, evaluate_log
from belfry.evaluation.reports.evaluation import EvaluationReport, make_report
from belfry.evaluation.table_lists import open_lists, repeats_of_table
from belfry.pipeline.jobs.evaluate import ITEM_KNN, baselines, judged_lists
from belfry.pipeline.jobs.feedback.log import policies_of, read_log
from belfry.pipeline.jobs.later_events import later_watches, unknown_users
from belfry.pipeline.jobs.updating.fresh import with_newcomers
from belfry.pipeline.runs.disk import explain_failed_writes


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
        log: of what was shown, `user_id`, `item_id`, `reward` and `propensity`; tells what the lists would have earned.
        log_clip: weights above it are cut.
        seed: of the resamples.

    Raises:
        TableError: a table cannot be judged; the message says why.
        InputError: no user can be judged.
    """
    repeats = as_repeats(None, repeats) or repeats_of_table(recommendations) or "exclude"
    tables = read_tables(train, items, reading=reading)
    policy = DEFAULT_POLICY if repeats == "exclude" else keep_repeats(DEFAULT_POLICY, tables)
    checked, report = check(tables, policy, can_set=False)
    report.tell()
    data = prepare(checked)
    history, features = data.interactions, data.features(data.interactions)
    users, items = history.users, history.items
    n = min(n, len(items))
    later = later_watches(read_events(test, users, items, reading=reading), users, items, DEFAULT_EVENT_WEIGHTS)
    if min_history == 0:
        features = with_newcomers(features, later[columns.USER_ID])
        history, users = features.history, features.history.users
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
        scores = judged_lists(name, lists, context, n, top_k)
        feedback = None
        if log is not None:
            shown, again = read_log(log, users, items, how=reading, clip=log_clip), Path(folder) / "log"
            again.mkdir()
            of_log = partial(open_lists, recommendations, folder=again, label=name, reading=reading)
            (judged,) = policies_of(shown, context, {name: of_log}, n)
            feedback = evaluate_log(shown, Policy.as_shown(shown), judged, seed=seed)
    return make_report(
        {**baselines(context, features, top_k, n, repeats, seed), name: scores},
        context,
        run=name,
        split=split,
        repeats=repeats,
        compared=(ITEM_KNN, name),
        feedback=feedback,
        left_out=left_out,
        seed=seed,
    )
