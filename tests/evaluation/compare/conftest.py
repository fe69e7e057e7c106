"""Worlds and tables in memory."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from dataset.interactions import Interactions, SeenItems
from dataset.vocabulary import Vocabulary
from evaluation.compare.tables import TableLists, TableSource
from evaluation.compare.world import World

ItemsOfUser = dict[int, Sequence[int]]


@pytest.fixture
def world() -> Callable[..., World]:
    """`world(before, later, n_items=, ratings=)`: users and items have their numbers as ids."""

    def build(before: ItemsOfUser, later: ItemsOfUser, *, n_items: int, ratings: dict | None = None, **more) -> World:
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
        return World(
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
def lists_of(tmp_path_factory) -> Callable[[pa.Table, World], TableLists]:
    """`lists_of(table, world, n_parts=)`: the table as if it were read in so many parts."""

    def build(table: pa.Table, world: World, *, n_parts: int = 1) -> TableLists:
        size = -(-len(table) // n_parts) or 1

        def parts(names):
            for start in range(0, len(table), size):
                yield table.select(list(names)).slice(start, size)

        source = TableSource("made", table.schema, len(table), parts)
        return TableLists(source, world, tmp_path_factory.mktemp("blocks"))

    return build


@pytest.fixture
def nothing_seen() -> SeenItems:
    return SeenItems.nothing(60)
