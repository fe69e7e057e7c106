"""Evaluation of a run's stages, or of anybody's table, beside popularity and ItemKNN on the same users."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS, EventWeights, watches_and_impressions
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions, SeenItems
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.split import Split
from belfry.dataset.split import test_users as users_to_judge
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check_later
from belfry.dataset.vocabulary import UNKNOWN, UserNums, Vocabulary, as_id_type
from belfry.evaluation.external_table import candidates_of_table
from belfry.evaluation.reports.attribution import attribute_loss
from belfry.evaluation.reports.evaluation import EvaluationReport, make_report, to_json, to_markdown
from belfry.evaluation.reports.reliability import measure_reliability
from belfry.evaluation.systems import LeftOut, SystemResult, evaluate_lists
from belfry.pipeline.runs.disk import write_together
from belfry.pipeline.runs.manifest import MANIFEST
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage, TwoStage
from belfry.retrieval.dense import stack
from belfry.retrieval.models.item_knn import ItemKNN
from belfry.retrieval.popularity import Popularity

POPULARITY, ITEM_KNN, RETRIEVAL, BOTH_STAGES = "popularity", "ItemKNN", "retrieval", "both stages"
USERS_PER_BLOCK = 1_000


def read_test(path: Path, users: Vocabulary, items: Vocabulary) -> pa.Table:
    """The raw table of later events in `path`; the ids of a CSV file are read as text where the known ones are text."""
    known = {columns.ITEM_ID: items.ids}, {columns.USER_ID: users.ids}
    return read_tables(path, *map(pa.table, known)).interactions


def evaluate_run(
    recommender: Recommender,
    test: pa.Table,
    *,
    split: str = "test",
    n: int = 10,
    depth: int = 500,
    min_history: int = 1,
    seed: int,
) -> EvaluationReport:
    """`evaluate_stages` of a published run, on a table of later events.

    Args:
        test: `user_id` and `item_id`, of the run's types; with `event` or `weight`, watches count and nothing else.

    Raises:
        TableError: a column is missing, or has ids of another type than the run.
        InputError: no user can be judged.
    """
    users, items = recommender.users, recommender.items
    test = later_watches(test, users, items, recommender.event_weights)
    return evaluate_stages(
        recommender.two_stage,
        Interactions.from_table(test, users=users, items=items),
        run=recommender.run.name,
        split=split,
        n=n,
        depth=depth,
        min_history=min_history,
        left_out=_unknown_users(test, users),
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
    left_out: Sequence[LeftOut] = (),
    seed: int,
) -> EvaluationReport:
    """Retrieval alone and both stages, beside popularity and ItemKNN: full ranking, seen items kept out.

    The final lists hold all that the ranker is handed in production, so that they also tell what each stage loses, and
    what its probabilities are worth. All lists of one system are in memory at once: some 10 kB for each user at a depth
    of 500.

    Args:
        test: later events, over the vocabularies of the stages; rows of unknown items or users count for nothing.
        run: the run's name; with `split`, the head of the report.
        depth: length of retrieval's lists, and of the baselines'.
        min_history: events that a user must have in the history to be judged.
        left_out: users that the caller has left out.
        seed: of the resamples.

    Raises:
        InputError: no user can be judged.
    """
    history = stages.features.history
    exclude = history.seen_items
    judged = _Judged.of(history, test, exclude, min_history)
    depth = max(n, min(depth, len(history.items)))
    final_depth = max(n, min(stages.n_candidates, len(history.items)))

    def lists_of(stage: Stage, top_k: int) -> Candidates:
        starts = range(0, len(judged.users), USERS_PER_BLOCK)
        blocks = (judged.users[start : start + USERS_PER_BLOCK] for start in starts)
        nothing = np.zeros(0, np.int32)
        return stack([stages.lists(users, n=top_k, stage=stage, exclude=exclude, blocked=nothing) for users in blocks])

    final = lists_of("final", final_depth)
    systems = [
        *judged.baselines(stages.features, exclude, depth, n, seed),
        judged.evaluate(RETRIEVAL, lists_of("retrieval", depth), depth, n, seed),
        judged.evaluate(BOTH_STAGES, final, final_depth, n, seed),
    ]
    return make_report(
        systems,
        run=run,
        split=split,
        seen_removed=True,
        attribution=attribute_loss(final, judged.users, judged.test, n=n, seed=seed),
        # Below 0 are places that the ranker never saw, where `n` is beyond its depth; they have no probability.
        reliability=measure_reliability(final.select(final.score >= 0), judged.test) if stages.ranker else None,
        compared=(RETRIEVAL, BOTH_STAGES),
        left_out=(*left_out, *judged.left_out),
        seed=seed,
    )


def evaluate_table(
    recommendations: pa.Table,
    train: Tables,
    test: pa.Table,
    *,
    name: str = "table",
    split: str = "test",
    n: int = 10,
    min_history: int = 1,
    seen_removed: bool = True,
    seed: int,
) -> EvaluationReport:
    """Any table of lists, beside popularity and ItemKNN fitted on `train`. A user without a row counts with zeros.

    Args:
        recommendations: `user_id`, `item_id` and `rank` or `score`.
        train: checked tables; what the users did before, and, with items of their own, the catalogue.
        test: what they did later: `user_id` and `item_id`; with `event` or `weight`, watches count and nothing else.
        name: what the report calls the table.
        split: what it calls the test part.
        seen_removed: refuse lists with items that their user has seen, and keep them out of the baselines.
        seed: of the resamples.

    Raises:
        TableError: a table cannot be judged; the message says why.
        InputError: no user can be judged.
    """
    data = prepare(train)
    history, features = data.interactions, data.features(data.interactions)
    users, items = history.users, history.items
    test = later_watches(test, users, items, DEFAULT_EVENT_WEIGHTS)
    exclude = history.seen_items if seen_removed else SeenItems.nothing(len(users))
    judged = _Judged.of(history, Interactions.from_table(test, users=users, items=items), exclude, min_history)
    lists = candidates_of_table(recommendations, users, items, asked=judged.users, seen=exclude)
    top_k = max(n, int(lists.rank.max()))
    return make_report(
        [
            *judged.baselines(features, exclude, top_k, n, seed),
            judged.evaluate(name, lists, top_k, n, seed),
        ],
        run=name,
        split=split,
        seen_removed=seen_removed,
        compared=(ITEM_KNN, name),
        left_out=(*_unknown_users(test, users), *judged.left_out),
        seed=seed,
    )


def save_report(report: EvaluationReport, folder: Path) -> None:
    """Write `evaluation.json` and `evaluation.md` into `folder`, which is made where it is missing.

    Raises:
        InputError: `folder` cannot be written, or is a published run, whose files are sealed.
        BelfryError: the disk is full.
    """
    if (folder / MANIFEST).exists():
        raise InputError(f"{folder}: is a published run, which nothing may be added to; name another folder")
    write_together(folder, {"evaluation.json": to_json(report), "evaluation.md": to_markdown(report)})


@dataclass(frozen=True)
class _Judged:
    """Whom a report is about and what is right for them: the same for each of its systems."""

    history: Interactions
    users: UserNums  # rising
    test: SeenItems
    left_out: tuple[LeftOut, ...]

    @classmethod
    def of(cls, history: Interactions, test: Interactions, exclude: SeenItems, min_history: int) -> "_Judged":
        """Out of `test` go unknown items, which no list can hold, and those in `exclude`, which none may."""
        known = test.select(test.user_num != UNKNOWN)
        is_unknown = known.item_num == UNKNOWN
        is_excluded = exclude.contains(known.user_num, known.item_num)
        usable = known.select(~is_unknown & ~is_excluded)
        users = users_to_judge(Split(history, usable), min_history=min_history)
        with_usable = np.unique(usable.user_num)
        left_out = (
            ("no test row of an item that is known and was not seen before", np.setdiff1d(known.user_num, with_usable)),
            (f"fewer than {min_history} earlier events", np.setdiff1d(with_usable, users)),
            (f"in part: {is_unknown.sum():,} test rows of unknown items", np.unique(known.user_num[is_unknown])),
            (f"in part: {is_excluded.sum():,} test rows of items seen before", np.unique(known.user_num[is_excluded])),
        )
        told = tuple(LeftOut(reason, len(found)) for reason, found in left_out if len(found))
        if not len(users):
            why = "; ".join(f"{left.reason}: {left.n_users:,}" for left in told) or "it names no known user"
            raise InputError(f"test: no user can be judged ({why}); pass what known users did after the training data")
        return cls(history, users, usable.select(np.isin(usable.user_num, users)).seen_items, told)

    def evaluate(self, name: str, lists: Candidates, top_k: int, n: int, seed: int) -> SystemResult:
        return evaluate_lists(name, lists, self.test, self.history, top_k=top_k, n=n, seed=seed)

    def baselines(
        self, features: FeatureTables, exclude: SeenItems, top_k: int, n: int, seed: int
    ) -> Iterator[SystemResult]:
        for name, system in ((POPULARITY, Popularity()), (ITEM_KNN, ItemKNN())):
            system.fit(self.history, features, seed=seed)
            lists = system.retrieve(self.users, features, top_k=top_k, exclude=exclude)
            yield self.evaluate(name, lists, top_k, n, seed)


def later_watches(
    test: pa.Table, users: Vocabulary, items: Vocabulary, event_weights: EventWeights, *, rated_and_timed: bool = False
) -> pa.Table:
    """The ids in the rows of `test` that are watches: nobody has to be recommended what was only shown.

    Args:
        rated_and_timed: keep `rating` and `timestamp_s` beside them, where they are there.

    Raises:
        TableError: a column is missing or cannot be read, its ids are of another type, or no row is a watch.
    """
    vocabularies = {columns.USER_ID: users, columns.ITEM_ID: items}
    for name, vocabulary in vocabularies.items():
        if test.column_names.count(name) != 1:
            there = ", ".join(map(repr, test.column_names))
            raise TableError(f"test: column {name!r} is needed once; there are {there}")
        found, wanted = as_id_type(test[name].combine_chunks()).type, vocabulary.ids.type
        if found != wanted:
            raise TableError(
                f"test: column {name!r} is {found}, the ids learned from are {wanted}; 1 and '1' are never merged: "
                "cast it"
            )
    beside = [name for name in (columns.RATING, columns.TIMESTAMP_S) if rated_and_timed and name in test.column_names]
    events = [name for name in (columns.EVENT, columns.WEIGHT) if name in test.column_names]
    if len(test) and (beside or events):
        test = check_later(test, rated_and_timed=rated_and_timed)
    if len(test) and events:
        test, _ = watches_and_impressions(test.select([*vocabularies, *beside, *events]), event_weights, name="test")
    return test.select([*vocabularies, *beside])


def _unknown_users(test: pa.Table, users: Vocabulary) -> list[LeftOut]:
    is_unknown = pa.array(users.numbers(test[columns.USER_ID]) == UNKNOWN)
    rows = test[columns.USER_ID].filter(is_unknown)
    return [LeftOut(f"not in the training data ({len(rows):,} test rows)", len(rows.unique()))] if len(rows) else []
