"""What a loop of lists, clicks and training learns with and without exploration, in a world whose truth is known.

Run as `python -m benchmarks.feedback`. Writes docs/results/feedback.md; some minutes of one core.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from belfry.dataset.candidates import ranks_of
from belfry.dataset.prepare import prepare
from belfry.dataset.tables import Tables
from belfry.dataset.vocabulary import as_arrow
from belfry.evaluation.reports.counterfactual import Policy, evaluate_log
from belfry.pipeline.config import load_config
from belfry.pipeline.jobs.feedback.log import read_log
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules.config import Explore, Rules
from belfry.pipeline.training.publish import train_and_publish

RESULT = Path(__file__).parent.parent / "docs" / "results" / "feedback.md"
N_USERS, N_ITEMS, N, DIM = 500, 400, 10, 8
N_FIRST = 8  # watches of each user before the first round
OLD = 0.6  # share of the items that had been shown by then
N_ROUNDS, N_SEEDS, N_LOGS = 8, 6, 40
SHOWN_ROUNDS = (1, 3, 5, 8)

Table = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """How lists are made."""

    share: float
    temperature: float = 0.5
    rotates: bool = False  # no item is shown to a user twice

    @property
    def name(self) -> str:
        if not self.share:
            return "greedy, no item shown twice" if self.rotates else "greedy"
        return f"share {self.share:g}" + ("" if self.temperature == 0.5 else f", temperature {self.temperature:g}")

    def rules(self, seed: int) -> Rules | None:
        explore = Explore(share=self.share, temperature=self.temperature, seed=seed) if self.share else None
        return Rules(explore=explore, depth=N_ITEMS) if explore else None


GREEDY = Arm(0)
ARMS = (GREEDY, Arm(0.1), Arm(0.2), Arm(0.5), Arm(0.2, 100.0), Arm(0, rotates=True))


class World:
    """Users who click an item that they are shown with a chance of their own, wherever it stands."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        users, items = (generator.normal(size=(count, DIM)) for count in (N_USERS, N_ITEMS))
        quality = generator.normal(0, 0.7, N_ITEMS)
        self.worth: Table = 1 / (1 + np.exp(2.5 - quality - 2.0 * users @ items.T / np.sqrt(DIM)))
        self.watched = np.zeros(self.worth.shape, np.bool_)
        exposure = np.where(generator.random(N_ITEMS) < OLD, np.exp(generator.normal(0, 1, N_ITEMS)), 0)
        keys = np.log(generator.random(self.worth.shape)) / np.maximum(self.worth * exposure, 1e-300)
        np.put_along_axis(self.watched, np.argsort(-keys, axis=1)[:, :N_FIRST], True, axis=1)

    def click(self, lists: pa.Table, draws: Table) -> npt.NDArray[np.bool_]:
        """[n_rows] whether each place is clicked; `draws`: [n_users, n_items] even numbers in [0, 1)."""
        pairs = lists["user_id"].to_numpy(), lists["item_id"].to_numpy()
        return np.asarray(draws[pairs] < self.worth[pairs])

    def worths(self, lists: pa.Table) -> Table:
        """[n_rows]"""
        return np.asarray(self.worth[lists["user_id"].to_numpy(), lists["item_id"].to_numpy()])

    def best(self) -> Table:
        """[n_users, N] worth of the best items that each user has not watched, the best first."""
        return np.asarray(-np.sort(-np.where(self.watched, 0, self.worth), axis=1)[:, :N])

    def ndcg(self, lists: pa.Table) -> float:
        """Mean over users, by true worth among what they have not watched."""
        discount = 1 / np.log2(np.arange(N) + 2)
        gains = np.bincount(lists["user_id"].to_numpy(), self.worths(lists) * discount[lists["rank"].to_numpy() - 1])
        return float(np.mean(gains / (self.best() @ discount)))


def train(world: World, kind: str, folder: Path, seed: int) -> Recommender:
    """On all that was watched so far."""
    user, item = np.nonzero(world.watched)
    interactions = pa.table({"user_id": as_arrow(user), "item_id": as_arrow(item)})
    data = prepare(Tables(interactions, pa.table({"item_id": np.arange(N_ITEMS)})))
    settings = [f"retrieval.kind={kind}", "retrieval.embedding_size=16", "ranker=none", "sources=[]"]
    config = load_config("default", holdout="random", settings=settings)
    run = train_and_publish(data, config, preset="default", holdout="random", seed=seed, artifacts=folder)
    return Recommender.load(run)


def unshown(run: Recommender, was_shown: npt.NDArray[np.bool_]) -> pa.Table:
    """Greedy lists of what each user was not shown before."""
    deep = run.recommend_many(range(N_USERS), N_ITEMS)
    deep = deep.filter(pa.array(~was_shown[deep["user_id"].to_numpy(), deep["item_id"].to_numpy()]))
    rank = ranks_of(deep["user_id"].to_numpy(), N_USERS)
    return deep.set_column(1, "rank", as_arrow(rank)).filter(pa.array(rank <= N))


def loop(arm: Arm, seed: int) -> Table:
    """[N_ROUNDS + 1, 3]: NDCG of greedy lists, worth of a shown place and clicks so far, before each round."""
    world, found, n_clicks = World(seed), np.zeros((N_ROUNDS + 1, 3)), 0
    was_shown = np.zeros(world.worth.shape, np.bool_)
    draws = np.random.default_rng([seed, 1]).random((N_ROUNDS, N_USERS, N_ITEMS))
    for number in range(N_ROUNDS + 1):
        with TemporaryDirectory() as folder:
            run = train(world, "pure_svd", Path(folder) / "runs", seed)
            greedy = run.recommend_many(range(N_USERS), N)
            lists = run.recommend_many(range(N_USERS), N, rules=arm.rules(number)) if arm.share else greedy
            lists = unshown(run, was_shown) if arm.rotates else lists
        found[number] = world.ndcg(greedy), world.worths(lists).mean(), n_clicks / N_USERS
        was_shown[lists["user_id"].to_numpy(), lists["item_id"].to_numpy()] = True
        if number < N_ROUNDS:
            clicked = lists.filter(pa.array(world.click(lists, draws[number])))
            world.watched[clicked["user_id"].to_numpy(), clicked["item_id"].to_numpy()] = True
            n_clicks += len(clicked)
    return found


def estimates(arm: Arm) -> list[Table]:
    """Of logs of an exploring run, by estimator: [n_answers, 4] estimate, low, high, effective rows; last the truth."""
    world = World(0)
    with TemporaryDirectory() as folder:
        run, other = (train(world, kind, Path(folder) / kind, 0) for kind in ("pure_svd", "als"))
        judged = other.recommend_many(range(N_USERS), N)
        found: list[list[list[float]]] = [[], [], []]
        for seed in range(N_LOGS):
            lists = run.recommend_many(range(N_USERS), N, rules=arm.rules(seed))
            draws = np.random.default_rng([seed, 2]).random(world.worth.shape)
            log = read_log(
                lists.append_column("reward", as_arrow(world.click(lists, draws).astype(np.float64))),
                run.users,
                run.items,
            )
            items = run.items.numbers(judged["item_id"]).reshape(N_USERS, N)
            value = evaluate_log(log, Policy.as_shown(log), Policy.of_lists("judged", items, log), seed=seed)
            for place, one in enumerate(value.values):
                figures = one.challenger, one.challenger_low, one.challenger_high, value.effective_challenger
                found[place].append([*figures])
    truth = world.worths(judged).mean()
    return [np.array(rows).reshape(-1, 4) for rows in found] + [np.array([[truth]])]


def of_seeds(values: Table) -> str:
    """Mean over seeds with its 95% interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ± {half:.3f}"


def change(values: Table, greedy: Table) -> str:
    """Mean paired difference with its 95% interval."""
    differences = values - greedy
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    return f"{differences.mean():+.3f} ± {half:.3f}"


def loop_lines(found: dict[Arm, Table]) -> Iterator[str]:
    """`found`: arm -> [n_seeds, N_ROUNDS + 1, 3]."""
    heads = " | ".join(f"after {number}" for number in SHOWN_ROUNDS)
    greedy = found[GREEDY]
    yield "## What the model knows: true NDCG@10 of its greedy lists, less that of the greedy loop"
    yield ""
    yield f"| lists | {heads} |"
    yield "|---|" + "---:|" * len(SHOWN_ROUNDS)
    for arm, values in found.items():
        cells = [
            of_seeds(values[:, number, 0]) if arm == GREEDY else change(values[:, number, 0], greedy[:, number, 0])
            for number in SHOWN_ROUNDS
        ]
        yield f"| {arm.name} | {' | '.join(cells)} |"
    yield ""
    yield "## What users got: clicks of a user so far, less those of the greedy loop"
    yield ""
    yield f"| lists | {heads} | worth of a place in round 1 |"
    yield "|---|" + "---:|" * (len(SHOWN_ROUNDS) + 1)
    for arm, values in found.items():
        cells = [
            of_seeds(values[:, number, 2]) if arm == GREEDY else change(values[:, number, 2], greedy[:, number, 2])
            for number in SHOWN_ROUNDS
        ]
        yield f"| {arm.name} | {' | '.join(cells)} | {values[:, 0, 1].mean():.3f} |"


def estimate_lines(found: dict[Arm, list[Table]]) -> Iterator[str]:
    heads = "logs with an answer | mean - truth | root mean squared error | intervals with the truth | worth"
    yield f"| log | estimate | {heads} |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for arm, (*tables, truth) in found.items():
        for name, rows in zip(("IPS", "SNIPS", "doubly robust"), tables, strict=True):
            error = rows[:, 0] - truth[0, 0]
            cells = [f"{len(rows)} of {N_LOGS}"]
            if len(rows):
                inside = (rows[:, 1] <= truth[0, 0]) & (truth[0, 0] <= rows[:, 2])
                deviation = stats.t.ppf(0.975, len(rows) - 1) * error.std(ddof=1) / np.sqrt(len(rows))
                cells += [f"{error.mean():+.4f} ± {deviation:.4f}", f"{np.sqrt((error**2).mean()):.4f}"]
                cells += [f"{inside.mean():.0%}", f"{rows[:, 3].mean():,.0f} rows"]
            yield f"| {arm.name} | {name} | {' | '.join(cells)} |"


def page(loops: dict[Arm, Table], logs: dict[Arm, list[Table]]) -> str:
    truth = next(iter(logs.values()))[-1][0, 0]
    lines = [
        "# Feedback: lists, clicks, training, lists",
        "",
        f"`python -m benchmarks.feedback`, {datetime.now(UTC):%Y-%m-%d}. A generated world of {N_USERS} users and "
        f"{N_ITEMS} items, with {N_FIRST} watches of each user at first and {1 - OLD:.0%} of the items without any. A "
        "user clicks an item that is shown with a chance of their own, known here and to no model, wherever it stands. "
        "Each round every user gets a list of 10; what was clicked is watched, and not shown again; the run (PureSVD, "
        "no ranker) is trained anew. It learns nothing from what was shown and not clicked. The same "
        f"{len(loops[GREEDY])} worlds for all rows; ± is a 95% interval over worlds, of paired differences. `depth` is "
        "the whole catalogue, `temperature` 0.5 where nothing else is said.",
        "",
        *loop_lines(loops),
        "",
        "## Does the log tell the truth of lists that nobody was shown?",
        "",
        f"Lists of another system (ALS; a place of them is worth {truth:.4f}), judged by {N_LOGS} logs of one "
        "exploring list of every user. An estimate is right on average where the interval of its mean error holds 0.",
        "",
        *estimate_lines(logs),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    n_seeds = parser.parse_args().seeds
    loops = {arm: np.array([loop(arm, seed) for seed in range(n_seeds)]) for arm in ARMS}
    logs = {arm: estimates(arm) for arm in (Arm(0.2), Arm(0.5), Arm(1.0))}
    RESULT.write_text(page(loops, logs), encoding="utf-8")


if __name__ == "__main__":
    main()
