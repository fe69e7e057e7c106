"""Small worlds for the tests of evaluation: users and items are numbered 1, 2, ... in their own vocabularies."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest

from dataset.candidates import Candidates, take_top_k
from dataset.interactions import Interactions
from dataset.vocabulary import Vocabulary

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
            origins=("test",),
        )

    return build
