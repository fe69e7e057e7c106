"""Small made-up tables for the tests of `compare`: who watched what, what they watched later, lists of two systems."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class AbTables:
    """B finds more test items than A does; no list holds a seen item."""

    train: pa.Table
    test: pa.Table
    a: pa.Table
    b: pa.Table
    items: pa.Table
    users: pa.Table


def make_ab_tables(
    *,
    n_users: int = 60,
    n_items: int = 80,
    n: int = 10,
    chance_a: float = 0.3,
    chance_b: float = 0.5,
    text_ids: bool = False,
    title: str = "Film {}",
    seed: int = 0,
) -> AbTables:
    """8 watches before, 4 later (rated and timed) of each user; each later item is listed with a system's chance."""
    generator = np.random.default_rng(seed)
    done = np.array([generator.permutation(n_items)[:12] for _ in range(n_users)])
    lists = {
        name: np.array([_list(generator, own, n_items, n, chance) for own in done])
        for name, chance in (("a", chance_a), ("b", chance_b))
    }

    def user_ids(users: np.ndarray) -> pa.Array:
        return pa.array([f"u{user}" for user in users.tolist()] if text_ids else users.tolist())

    def item_ids(items: np.ndarray) -> pa.Array:
        return pa.array([f"i{item}" for item in items.tolist()] if text_ids else items.tolist())

    def events(items: np.ndarray, first_s: int) -> pa.Table:
        return pa.table(
            {
                "user_id": user_ids(np.repeat(np.arange(n_users), items.shape[1])),
                "item_id": item_ids(items.ravel()),
                "rating": generator.integers(1, 6, items.size).astype(np.float32),
                "timestamp_s": first_s + np.arange(items.size) * 9_000,
            }
        )

    def table(lists: np.ndarray) -> pa.Table:
        return pa.table(
            {
                "user_id": user_ids(np.repeat(np.arange(n_users), n)),
                "item_id": item_ids(lists.ravel()),
                "rank": np.tile(np.arange(1, n + 1, dtype=np.int32), n_users),
            }
        )

    genres = ("drama", "crime", "comedy")
    return AbTables(
        train=events(done[:, :8], 1_000_000),
        test=events(done[:, 8:], 90_000_000),
        a=table(lists["a"]),
        b=table(lists["b"]),
        items=pa.table(
            {
                "item_id": item_ids(np.arange(n_items)),
                "title": [title.format(item) for item in range(n_items)],
                "genres": [[genres[item % 3], genres[item % 2]] for item in range(n_items)],
            }
        ),
        users=pa.table(
            {"user_id": user_ids(np.arange(n_users)), "side": [["left", "right"][u % 2] for u in range(n_users)]}
        ),
    )


def _list(generator: np.random.Generator, own: np.ndarray, n_items: int, n: int, chance: float) -> np.ndarray:
    hits = own[8:][generator.random(4) < chance]
    others = generator.permutation(np.setdiff1d(np.arange(n_items), own))[: n - len(hits)]
    return generator.permutation(np.concatenate([hits, others]))
