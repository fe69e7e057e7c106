"""Answers: what a call asks of one run, in numbers, and its lists, checked, in the caller's ids."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.context import ContextNumbers
from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import KINDS_OF_REPEATS, REPEATS_OF_TABLE, Repeats, kept_out
from belfry.dataset.vocabulary import UNKNOWN, Id, ItemNums, UserNums, as_arrow
from belfry.pipeline.serving.checks import check_lists, check_n
from belfry.pipeline.serving.explain import Reason, reasons_for
from belfry.pipeline.serving.ids import IdReader
from belfry.pipeline.serving.load import Parts
from belfry.pipeline.serving.neighbours import Neighbourhoods
from belfry.pipeline.serving.results import Effect, Explanation, Recommendation, ResultList, Watched
from belfry.pipeline.serving.tables import in_order, table_of_lists
from belfry.pipeline.serving.two_stage import Limits, Stage, Trace, TwoStage
from belfry.pipeline.serving.users.asked import AskedUsers
from belfry.pipeline.serving.users.session import stages_for_newcomers
from belfry.pipeline.serving.workers import answer_together

if TYPE_CHECKING:
    from belfry.pipeline.serving.rules.book import RuleBook
    from belfry.pipeline.serving.rules.bound import BoundRules
    from belfry.pipeline.serving.rules.config import RulesLike

ROWS_PER_BLOCK = 1 << 16  # candidates that are retrieved and ranked at a time, about


@dataclass(frozen=True)
class Request:
    """What a call asks for, whoever the users are."""

    limits: Limits  # for users of the run
    repeats: Repeats
    stage: Stage
    rules: "BoundRules | None"  # which `limits` follow already
    explain: bool


class Answers:
    """Answers by both stages of a run."""

    def __init__(self, parts: Parts, items: IdReader, neighbourhoods: Neighbourhoods) -> None:
        self.two_stage, self.run, self.titles = parts.two_stage, parts.run, parts.titles
        self.items, self.neighbourhoods = items, neighbourhoods
        self._kept_out = {one: kept_out(self.two_stage.features.history, one) for one in KINDS_OF_REPEATS}

    def bound(self, rules: "RulesLike | None", where: str | None = None) -> "BoundRules | None":
        """The rules that a call asks for, held against the items; raises as `RuleBook.bound`."""
        return None if rules is None and where is None else self._rule_book.bound(rules, where)

    def request(
        self,
        n: int,
        repeats: Repeats,
        rules: "BoundRules | None",
        *,
        stage: Stage = "final",
        exclude: Iterable[Id] = (),
        only: Iterable[Id] | None = None,
        context: ContextNumbers | None = None,
        explain: bool = False,
    ) -> Request:
        """The arguments of a call, read.

        Raises:
            InputError: an id is none that the run could have, `n` is below 1 or more than the rules can put in order,
                or `stage` is neither.
        """
        if stage not in ("final", "retrieval"):
            raise InputError(f"stage={stage!r}: wanted 'final' or 'retrieval'")
        limits = Limits(
            n=min(check_n(n), len(self.items.vocabulary)),
            exclude=self._kept_out[repeats],
            blocked=self.items.numbers(exclude, "exclude"),
            only=None if only is None else self.items.numbers(only, "only"),
            context=context,
        )
        if rules is not None:
            from belfry.pipeline.serving.rules.apply import limits_under_rules

            limits = limits_under_rules(limits, rules)
        return Request(limits, repeats, stage, rules, explain)

    def of_one(self, two_stage: TwoStage, users: UserNums, request: Request) -> list[Recommendation]:
        """The list of the one user in `users`, a number in the tables of `two_stage`."""
        with one_thread:
            trace = self._trace(two_stage, users, request)
        lists = trace.lists
        because: list[Explanation | None] = [None] * len(lists)
        if request.explain:
            because = [self._explanation(reason) for reason in reasons_for(two_stage, trace, self.neighbourhoods)]
        item_ids, titles = self.ids_and_titles(lists.item_num)
        origins = [lists.origins[origin] for origin in lists.origin]
        told = {name: values.tolist() for name, values in two_stage.told_ratings(lists).items()}
        nothing: list[float | None] = [None] * len(lists)
        ratings, deviations = (told.get(name, nothing) for name in (columns.EXPECTED_RATING, columns.RATING_DEVIATION))
        chances: list[float | None] = nothing if lists.propensity is None else lists.propensity.tolist()
        shown = (lists.rank.tolist(), item_ids, titles, lists.score.tolist(), origins, because)
        return ResultList(Recommendation(*row) for row in zip(*shown, ratings, chances, deviations, strict=True))

    def of_many(self, asked: AskedUsers, request: Request, workers: int | None) -> pa.Table:
        """A row for each place of the lists, in the order asked; blocks of users are answered by `workers` threads."""
        limits, rules = request.limits, request.rules
        depth = rules.depth(limits.n) if rules else limits.n
        n_rows = max(self.two_stage.n_candidates, depth, 0 if limits.only is None else len(limits.only))
        return answer_together(
            lambda block: self.of_block(block, request), asked, workers, max(1, ROWS_PER_BLOCK // n_rows)
        )

    def of_block(self, asked: AskedUsers, request: Request) -> pa.Table:
        """`of_many`, all at once; newcomers are answered by their features."""
        users = self.two_stage.features.history.users.numbers(asked.ids)
        if asked.contexts is not None:
            request = replace(request, limits=replace(request.limits, context=asked.contexts.of(asked.ids)))
        is_new = users == UNKNOWN
        if asked.newcomers is None or not is_new.any():
            return self._table(self.two_stage, users, asked.ids, request)
        new, known = (asked.ids.take(as_arrow(np.flatnonzero(part))) for part in (is_new, ~is_new))
        of_new, of_known = (replace(request, limits=request.limits.of_users(part)) for part in (is_new, ~is_new))
        stages = stages_for_newcomers(self.two_stage, asked.newcomers)
        tables = [self._table(stages, asked.newcomers.users.numbers(new), new, of_new)]
        if len(known):
            tables += [self._table(self.two_stage, users[~is_new], known, of_known)]
        return in_order(tables, asked.ids)

    @cached_property
    def _rule_book(self) -> "RuleBook":
        from belfry.pipeline.serving.rules.book import RuleBook

        history, expects = self.two_stage.features.history, self.two_stage.ratings is not None
        return RuleBook(
            self.run,
            self.items,
            history,
            self.titles,
            lambda: self.neighbourhoods.of_items.directions(len(history.items)),
            expects_ratings=expects,
        )

    def ids_and_titles(self, items: ItemNums) -> tuple[list[Id], list[str | None]]:
        titles = self.titles.take(as_arrow(items.astype(np.int64) - 1))
        return self.items.vocabulary.take(items).to_pylist(), titles.to_pylist()

    def _table(self, two_stage: TwoStage, users: UserNums, ids: pa.Array, request: Request) -> pa.Table:
        """Of `users` [n], numbers in the tables of `two_stage`, whose ids are `ids` [n]."""
        trace = self._trace(two_stage, users, request)
        reasons = reasons_for(two_stage, trace, self.neighbourhoods) if request.explain else None
        table = table_of_lists(trace.lists, ids, self.items.vocabulary, reasons)
        for name, values in two_stage.told_ratings(trace.lists).items():
            table = table.append_column(name, as_arrow(values))
        about = {"belfry.run": self.run.name, "belfry.stage": request.stage, REPEATS_OF_TABLE: request.repeats}
        return table.replace_schema_metadata(about)

    def _trace(self, two_stage: TwoStage, users: UserNums, request: Request) -> Trace:
        """Lists that were checked, and how they came about."""
        limits, stage = request.limits, request.stage
        if two_stage is not self.two_stage:  # its users have other histories
            limits = replace(limits, exclude=kept_out(two_stage.features.history, request.repeats))
        blocked = limits.blocked
        if request.rules is None:
            trace = two_stage.trace(users, stage, limits)
        else:
            from belfry.pipeline.serving.rules.apply import not_allowed, trace_under_rules

            trace = trace_under_rules(two_stage, users, stage, limits, request.rules)
            blocked = not_allowed(trace.lists, limits)
        n_items = len(self.items.vocabulary)
        check_lists(trace.lists, n=limits.n, n_items=n_items, seen=limits.exclude, blocked=blocked)
        return trace

    def _explanation(self, reason: Reason) -> Explanation:
        ids, titles = self.ids_and_titles(np.array([number for number, _ in reason.watched], np.int32))
        shares = [share for _, share in reason.watched]
        watched = tuple(Watched(*row) for row in zip(ids, titles, shares, strict=True))
        return Explanation(watched, tuple(Effect(*effect) for effect in reason.features))
