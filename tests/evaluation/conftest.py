"""Small histories, contexts and tables for the tests of evaluation; users and items are numbered 1, 2, ..."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.parts import TableParts
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores, evaluate
from belfry.evaluation.plan import Plan
from belfry.evaluation.table_lists import TableLists

ItemsOfUser = Mapping[int, Sequence[int]]


@pytest.fixture
def events() -> Callable[..., Interactions]:
    """`events({user_num: item_nums}, n_users=, n_items=)`: their interactions; ids are the numbers."""

    def build(items_of_user: ItemsOfUser, *, n_users: int, n_items: int) -> Interactions:
        pairs = [(user, item) for user, items in items_of_user.items() for item in items]
        user_num, item_num = np.array(pairs, np.int32).reshape(-1, 2).T
        users = Vocabulary(pa.array(range(1, n_users + 1)))
        return Interactions(users, Vocabulary(pa.array(range(1, n_items + 1))), user_num, item_num)

    return build


@pytest.fixture
def lists() -> Callable[[ItemsOfUser], Candidates]:
    """`lists({user_num: item_nums by rank})`: the same as Candidates, asked users in that order."""

    def build(items_of_user: ItemsOfUser) -> Candidates:
        lengths = [len(items) for items in items_of_user.values()]
        return take_top_k(
            np.array(list(items_of_user), np.int32),
            np.repeat(np.arange(len(lengths)), lengths),
            np.array([item for items in items_of_user.values() for item in items], np.int32),
            np.array([-rank for length in lengths for rank in range(length)], np.float32),
            top_k=max(lengths, default=0),
            origin="test",
        )

    return build


@pytest.fixture
def context() -> Callable[..., EvaluationContext]:
    """`context(before, later, n_items=, ratings=)`: users and items have their numbers as ids."""

    def build(
        before: ItemsOfUser, later: ItemsOfUser, *, n_items: int, ratings: dict | None = None, **more
    ) -> EvaluationContext:
        n_users = max([*before, *later])
        users = Vocabulary(pa.array(range(1, n_users + 1)))
        items = Vocabulary(pa.array(range(1, n_items + 1)))

        def events(pairs: ItemsOfUser) -> Interactions:
            rows = [(user, item) for user, items in sorted(pairs.items()) for item in sorted(items)]
            user_num, item_num = np.array(rows, np.int32).reshape(-1, 2).T
            return Interactions(users, items, user_num, item_num)

        history, test = events(before), events(later)
        rating = None
        if ratings is not None:
            pairs = zip(test.user_num.tolist(), test.item_num.tolist(), strict=True)
            rating = np.array([ratings.get(pair, np.nan) for pair in pairs])
        return EvaluationContext(
            history=history,
            test=test.seen_items,
            rating=rating,
            time=None,
            seen=more.pop("seen", history.seen_items),
            titles=pa.nulls(n_items, pa.string()),
            **more,
        )

    return build


@pytest.fixture
def lists_of(tmp_path_factory) -> Callable[[pa.Table, EvaluationContext], TableLists]:
    """`lists_of(table, context, n_parts=)`: the table as if it were read in so many parts."""

    def build(table: pa.Table, context: EvaluationContext, *, n_parts: int = 1) -> TableLists:
        size = -(-len(table) // n_parts) or 1

        def parts(names):
            for start in range(0, len(table), size):
                yield table.select(list(names)).slice(start, size)

        folder = tmp_path_factory.mktemp("blocks")
        return TableLists(TableParts(table.schema, len(table), parts), context, folder, label="made")

    return build


@pytest.fixture
def score(lists_of) -> Callable[..., SystemScores]:
    """`score(table, context, n, cutoffs)`: the table by every metric of a comparison."""

    def build(
        table: pa.Table, context: EvaluationContext, n: int, cutoffs: Sequence[int] = (), **more: int
    ) -> SystemScores:
        return evaluate(lists_of(table, context, **more), context, Plan.of_comparison(n, cutoffs or (n,)))

    return build


@pytest.fixture
def nothing_seen() -> SeenItems:
    return SeenItems.nothing(60)
