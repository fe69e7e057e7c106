"""Allowed candidates: the best of them, in order, whatever share is allowed; and how deep retrieval was asked."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.pipeline.serving.rules.retrieve import retrieve_allowed

N_USERS, N_ITEMS = 5, 400


class Fixed:
    """Items by fixed scores; remembers how it was asked."""

    def __init__(self) -> None:
        self.scores = np.random.default_rng(0).random((N_USERS + 1, N_ITEMS + 1)).astype(np.float32)
        self.asked: list[tuple[int, int, bool]] = []  # users, depth, whether only some items were to choose from

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        self.asked.append((len(users), top_k, only is not None))
        row, item = (part.ravel() for part in np.indices((len(users), N_ITEMS + 1)))
        kept = (item > 0) & ~exclude.contains(users[row], item.astype(np.int32))
        if only is not None:
            kept &= np.isin(item, only)
        row, item = row[kept], item[kept].astype(np.int32)
        return take_top_k(users, row, item, self.scores[users[row], item], top_k=top_k, origin="fixed")


SEEN = SeenItems(np.array([0, 0, 300, 300, 301, 301, 301]), np.append(np.arange(1, 301), 7).astype(np.int32))


def allowed_of(items: object) -> np.ndarray:
    allowed = np.zeros(N_ITEMS + 1, np.bool_)
    allowed[items] = True
    allowed[0] = False
    return allowed


def wanted(fixed: Fixed, users: UserNums, allowed: np.ndarray, top_k: int) -> list[list[int]]:
    lists = []
    for user in users.tolist():
        items = [item for item in np.argsort(-fixed.scores[user]).tolist() if allowed[item]]
        lists.append([item for item in items if item not in SEEN.of(user)][:top_k])
    return lists


@pytest.mark.parametrize("top_k", [1, 7, 50, 1_000])
@pytest.mark.parametrize("items", [slice(None), slice(2, None), slice(0, None, 2), slice(1, 40), [5], [301, 302], []])
def test_the_best_allowed_items_in_order(top_k: int, items: object) -> None:
    fixed, users, allowed = Fixed(), np.array([3, 1, 5, 2], np.int32), allowed_of(items)
    found = retrieve_allowed(fixed, users, None, top_k=top_k, exclude=SEEN, allowed=allowed)  # type: ignore[arg-type]
    lists: list[list[int]] = [[] for _ in users]
    for row, item in zip(found.row_user.tolist(), found.item_num.tolist(), strict=True):
        lists[row].append(item)
    assert lists == wanted(fixed, users, allowed, top_k)
    assert found.rank.tolist() == [rank for one in lists for rank in range(1, len(one) + 1)]
    assert found.users.tolist() == users.tolist()


def test_one_item_denied_costs_one_place_more() -> None:
    fixed, users = Fixed(), np.array([3, 4], np.int32)
    retrieve_allowed(fixed, users, None, top_k=10, exclude=SEEN, allowed=allowed_of(slice(2, None)))  # type: ignore[arg-type]
    assert fixed.asked == [(2, 11, False)]


def test_few_allowed_items_are_all_scored() -> None:
    fixed, users = Fixed(), np.array([3, 4], np.int32)
    retrieve_allowed(fixed, users, None, top_k=10, exclude=SEEN, allowed=allowed_of(slice(1, 40)))  # type: ignore[arg-type]
    assert fixed.asked == [(2, 10, True)]


def test_who_has_too_few_is_asked_for_again_deeper() -> None:
    fixed, users, allowed = Fixed(), np.array([1, 3], np.int32), allowed_of(slice(0, None, 2))
    fixed.scores[1, ::2] -= 1  # user 1 has what is not allowed first
    retrieve_allowed(fixed, users, None, top_k=10, exclude=SEEN.select(np.zeros(301, np.bool_)), allowed=allowed)  # type: ignore[arg-type]
    assert fixed.asked == [(2, 26, False), (1, 10, True)]


def test_where_all_is_allowed_it_is_asked_as_without_rules() -> None:
    fixed, users = Fixed(), np.array([1, 3], np.int32)
    retrieve_allowed(fixed, users, None, top_k=300, exclude=SEEN, allowed=allowed_of(slice(None)))  # type: ignore[arg-type]
    assert fixed.asked == [(2, 300, False)]
