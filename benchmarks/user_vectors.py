"""Vectors of users: what a column of them gives to users without a history, after their first watches, and with more.

Run as `python -m benchmarks.user_vectors`. Writes docs/results/user-vectors.md. Users and items are generated: tastes
follow a hidden vector, and a column of the users table holds a random projection of it with noise, or noise alone.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset.candidates import Candidates
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.metrics import PerUser, hits, lists_of, ndcg
from belfry.pipeline.config import load_config
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.serving.users.session import SESSION_USER, session_tables
from belfry.pipeline.training.train import train

RESULT = Path(__file__).parent.parent / "docs" / "results" / "user-vectors.md"
SEEDS = (2, 3)  # the weight of the towers in cold lists was chosen on 0 and 1
N_NEWCOMERS = 500
HELD_BACK = 0.2  # of the events of users with a history
WATCHES = (0, 1, 3, 10)  # first ones of a newcomer
COLUMNS = {
    "none": "no column",
    "hidden": "the hidden vector, with as much noise",
    "noise": "noise alone",
}


@dataclass(frozen=True)
class Generated:
    """Events in random order, and columns of the users table."""

    events: pa.Table
    columns: dict[str, pa.Array | None]  # by the keys of `COLUMNS`; users are 1 to n

    def data(self, column: str) -> Data:
        """With one of the columns."""
        values = self.columns[column]
        users = None if values is None else pa.table({"user_id": np.arange(1, len(values) + 1), "embedding": values})
        return prepare(check(Tables(self.events, users=users))[0])


def generate(
    seed: int, *, n_users: int = 1_500, n_items: int = 800, mean_watches: int = 40, dim: int = 8, length: int = 32
) -> Generated:
    """A user's watches are the items of the largest popularity + 1.5 taste . item + Gumbel noise."""
    generator = np.random.default_rng(seed)
    taste = generator.normal(size=(n_users, dim))
    items = generator.normal(size=(n_items, dim)) / np.sqrt(dim)
    utility = generator.normal(0, 1.2, n_items) + 1.5 * taste @ items.T + generator.gumbel(size=(n_users, n_items))
    n_watches = np.maximum(generator.poisson(mean_watches, n_users), 5)
    order = np.argsort(-utility, axis=1)
    user, place = np.nonzero(np.arange(n_items) < n_watches[:, np.newaxis])
    rows = generator.permutation(len(user))
    events = pa.table({"user_id": user[rows] + 1, "item_id": order[user, place][rows] + 1})
    projected = taste @ generator.normal(size=(dim, length)) / np.sqrt(dim)
    noise = generator.normal(size=(2, n_users, length))
    return Generated(events, {"none": None, "hidden": _lists(projected + noise[0]), "noise": _lists(noise[1])})


def split(events: Interactions, n_newcomers: int) -> tuple[Interactions, Interactions, UserNums]:
    """The past, what comes later, and the newcomers, whose events all come later."""
    newcomers = events.users.all_numbers[-n_newcomers:]
    is_later = np.random.default_rng(0).random(len(events)) < HELD_BACK
    is_later |= events.user_num >= newcomers[0]
    return events.select(~is_later), events.select(is_later), newcomers


def judge(stages: TwoStage, users: UserNums, later: Interactions) -> PerUser:
    """[n_users with something to find] NDCG@10 of final lists over the whole catalogue."""
    users = users[later.seen_items.count(users) > 0]
    seen = stages.features.history.seen_items
    found: Candidates = stages.lists(users, "final", n=10, exclude=seen, blocked=np.zeros(0, np.int32))
    return ndcg(hits(lists_of(found, 10), users, later.seen_items), later.seen_items.count(users))


def judge_after(n_watches: int, stages: TwoStage, newcomers: UserNums, later: Interactions) -> PerUser:
    """[n_newcomers] NDCG@10 of what newcomers watch after their first `n_watches`, which their lists know of."""
    if not n_watches:
        return judge(stages, newcomers, later)
    found = []
    for user in newcomers.tolist():
        events = later.item_num[later.by_user.of(user)]
        asked = replace(stages, features=session_tables(stages.features, user, events[:n_watches]))
        rest = Interactions(
            users=asked.features.history.users,
            items=later.items,
            user_num=np.ones(len(events) - n_watches, np.int32),
            item_num=events[n_watches:],
        )
        found.append(judge(asked, SESSION_USER, rest))
    return np.concatenate(found)


def main() -> None:
    found: dict[str, list[list[PerUser]]] = {column: [] for column in COLUMNS}
    for seed in SEEDS:
        generated = generate(seed)
        for column in COLUMNS:
            data = generated.data(column)
            past, later, newcomers = split(data.interactions, N_NEWCOMERS)
            config = load_config("default", holdout="random")
            stages = train(replace(data, interactions=past), config, holdout="random", seed=seed).two_stage
            known = past.users.all_numbers[1:-N_NEWCOMERS]
            of_newcomers = [judge_after(count, stages, newcomers, later) for count in WATCHES]
            found[column].append([*of_newcomers, judge(stages, known, later)])
    judged = {name: [np.concatenate(parts) for parts in zip(*worlds, strict=True)] for name, worlds in found.items()}
    heads = ["without a history", *(f"after {count} watch{'es' if count > 1 else ''}" for count in WATCHES[1:])]
    lines = [
        "# Vectors of users",
        "",
        f"Written by `python -m benchmarks.user_vectors` on {datetime.now(UTC):%Y-%m-%d}. Generated users whose tastes",
        "follow a hidden vector of 8 numbers; their table holds a vector of 32. NDCG@10 of the default preset over the",
        f"whole catalogue, {len(SEEDS)} worlds of 1,000 users with a history and {N_NEWCOMERS} without, and 800 items.",
        "± is half of a 95% interval of the difference from no column, users paired. The weight of the towers in cold",
        "lists (`cold_weight`: 0.5 where users have vectors) was chosen between 0.1 and 2 on two other such worlds.",
        "",
        f"| column of users | newcomers {' | '.join(heads)} | users of the run |",
        f"|---|{'---|' * (len(WATCHES) + 1)}",
    ]
    for name, label in COLUMNS.items():
        cells = (_cell(own, none) for own, none in zip(judged[name], judged["none"], strict=True))
        lines.append(f"| {label} | {' | '.join(cells)} |")
    RESULT.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def _cell(found: PerUser, without: PerUser) -> str:
    if found is without:
        return f"{found.mean():.4f}"
    difference = found - without
    half_width = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return f"{found.mean():.4f} ({difference.mean():+.4f} ± {half_width:.4f})"


def _lists(vectors: np.ndarray) -> pa.Array:
    flat = pa.array(vectors.astype(np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


if __name__ == "__main__":
    main()
