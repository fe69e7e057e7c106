"""First unseen items, against a plain loop over users."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.history.seen_items import SeenItems
from belfry.retrieval.unseen import first_unseen

N_USERS, N_ITEMS = 300, 50


class Orders:
    """Scores with many ties, in falling order; equal ones come by falling item number, which is the wrong way."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.scores = generator.integers(0, 9, (N_USERS, N_ITEMS + 1)).astype(np.float32)
        self.asked: list[tuple[int, int]] = []  # users and depth of each call

    def __call__(self, positions: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append((len(positions), depth))
        scores = self.scores[positions, 1:]
        order = N_ITEMS - np.argsort(-scores[:, ::-1], axis=1, kind="stable")[:, :depth]
        return order.astype(np.int32), np.take_along_axis(scores, order - 1, axis=1)


def seen_items() -> SeenItems:
    """User u has seen the first (7 u) mod 51 items of a shuffled catalogue, so some nothing and some everything."""
    generator = np.random.default_rng(1)
    counts = np.append(0, np.arange(N_USERS) * 7 % (N_ITEMS + 1))
    items = [np.sort(generator.permutation(N_ITEMS)[:count] + 1) for count in counts]
    starts = np.append(0, counts.cumsum())
    return SeenItems(starts, np.concatenate(items).astype(np.int32))


def expected(orders: Orders, exclude: SeenItems, top_k: int, only: list[int]) -> list[tuple[int, int, float, int]]:
    rows = []
    for position in range(N_USERS):
        items, scores = orders(np.array([position]), N_ITEMS)
        left = [
            (-score, item)
            for item, score in zip(items[0].tolist(), scores[0].tolist(), strict=True)
            if item in only and item not in exclude.of(position + 1)
        ][:top_k]
        rows += [(position, item, -score, rank) for rank, (score, item) in enumerate(sorted(left), 1)]
    return rows


def rows_of(found: Candidates) -> list[tuple[int, int, float, int]]:
    columns = (found.row_user, found.item_num, found.score, found.rank)
    return list(zip(*(column.tolist() for column in columns), strict=True))


USERS = np.arange(1, N_USERS + 1, dtype=np.int32)


@pytest.mark.parametrize("top_k", [1, 10, 1000])
@pytest.mark.parametrize("only", [None, [3, 9, 9, 41], []])
def test_every_list_is_that_of_a_plain_loop(top_k: int, only: list[int] | None) -> None:
    exclude, orders = seen_items(), Orders()
    numbers = None if only is None else np.array(only, np.int32)
    found = first_unseen(orders, USERS, exclude, n_items=N_ITEMS, top_k=top_k, origin="one", only=numbers)
    chosen = list(range(1, N_ITEMS + 1)) if only is None else only
    assert rows_of(found) == expected(orders, exclude, top_k, chosen)
    assert found.origins == ("one",)
    assert found.item_num.dtype == np.int32 and found.score.dtype == np.float32


def test_orders_are_no_deeper_than_their_block_of_similar_users_needs() -> None:
    exclude, orders = seen_items(), Orders()
    first_unseen(orders, USERS, exclude, n_items=N_ITEMS, top_k=5, origin="one")
    depths = np.sort(np.minimum(exclude.count(USERS) + 5, N_ITEMS))
    stops = np.cumsum([size for size, _ in orders.asked])
    assert len(stops) > 1
    assert [depth for _, depth in orders.asked] == depths[stops - 1].tolist()


def test_small_blocks_give_what_large_ones_give(monkeypatch: pytest.MonkeyPatch) -> None:
    exclude, orders = seen_items(), Orders()
    whole = first_unseen(orders, USERS, exclude, n_items=N_ITEMS, top_k=5, origin="one")
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 1)
    assert rows_of(first_unseen(orders, USERS, exclude, n_items=N_ITEMS, top_k=5, origin="one")) == rows_of(whole)


def test_padding_is_no_item() -> None:
    def best(positions: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        return np.array([[2, 1, 0]], np.int32), np.array([[3, 2, -np.inf]], np.float32)

    nothing = SeenItems.nothing(1)
    found = first_unseen(best, np.ones(1, np.int32), nothing, n_items=5, top_k=3, origin="one")
    assert rows_of(found) == [(0, 2, 3.0, 1), (0, 1, 2.0, 2)]


def test_nobody_asked() -> None:
    found = first_unseen(Orders(), USERS[:0], seen_items(), n_items=N_ITEMS, top_k=3, origin="one")
    assert len(found) == len(found.users) == 0
