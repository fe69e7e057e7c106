"""How sure an expected rating is: deviations that models tell, held against test ratings of MovieLens 100K.

Run as `make benchmark-ratings`, or `python -m benchmarks.rating_deviations [--data-folder DIR] [--seed 0]`. Writes
docs/results/rating-deviations.md anew after each model.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.movielens import read_movielens
from belfry.dataset.sources.web.download import find
from belfry.dataset.split import Split, split_random
from belfry.dataset.validation.check import check
from belfry.pipeline.runs.versions import installed_versions
from belfry.ranking.error_variance import ErrorVariance, KnownRatings, learned_weights, pairs_by_user
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.model import MultitaskModel
from belfry.ranking.utility import TrainedRatingLabels
from benchmarks.ratings import SYSTEMS, pairs_of

RESULT = Path(__file__).parent.parent / "docs" / "results" / "rating-deviations.md"
N_PARTS = 4  # of the rows, by their deviation


@dataclass(frozen=True)
class Told:
    """What one model says of the test rows."""

    error: np.ndarray  # [n_rows]
    deviation: np.ndarray  # [n_rows]

    def share_within(self, n_deviations: float) -> float:
        return float(np.mean(np.abs(self.error) <= n_deviations * self.deviation))

    def by_parts(self) -> list[tuple[float, float]]:
        """Root mean squares of the deviation and of the error, of rows from the surest to the least sure."""
        parts = np.array_split(np.argsort(self.deviation, kind="stable"), N_PARTS)
        return [tuple(float(np.sqrt(np.mean(of[part] ** 2))) for of in (self.deviation, self.error)) for part in parts]


def surprise(error: np.ndarray, deviation: np.ndarray | float) -> float:
    """Mean of -log of the normal density: lower is better."""
    return float(np.mean(np.log(deviation * np.sqrt(2 * np.pi)) + (error / deviation) ** 2 / 2))


def ask_ranker(name: str, data: Data, split: Split, *, seed: int) -> Told:
    """A ranker by rating, which knows its deviations by itself."""
    features, pairs = data.features(split.train), pairs_of(split.test)
    labels = TrainedRatingLabels(SYSTEMS[name]().fit(split.train, features, seed=seed))
    expected, deviation = (tell(pairs, features)[:, 0] for tell in (labels.expected, labels.deviations))
    return Told(expected - split.test.rating, deviation)


def ask_heads(data: Data, split: Split, *, seed: int) -> Told:
    """The regression head of a multitask model, with the weights that a fold of the train part gives."""
    fold = split_random(split.train, seed=seed)
    weights = learned_weights(*_fitted(data, fold, seed=seed), fold.test)
    model, features = _fitted(data, split, seed=seed)
    by_user = split.test.select(split.test.rated_rows)
    expected = model.expected(pairs_by_user(by_user), features)[:, 0]
    variance = ErrorVariance.of(weights, KnownRatings.of(split.train))
    return Told(expected - by_user.rating, variance.deviations(by_user.user_num, by_user.item_num))


def _fitted(data: Data, split: Split, *, seed: int) -> tuple[MultitaskModel, object]:
    features = data.features(split.train)
    return MultitaskModel(MultitaskConfig()).fit(split.train, features, seed=seed), features


MODELS: dict[str, Callable[..., Told]] = {
    **{name: partial(ask_ranker, name) for name in SYSTEMS if name not in {"biases", "tuned SVD"}},
    "multitask": ask_heads,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = prepare(check(read_movielens(find("ml-100k", data_folder=arguments.data_folder)))[0])
    split = split_random(data.interactions, seed=arguments.seed)
    page = _head(split, arguments.seed)
    for name, ask in MODELS.items():
        page.append(row_of(name, ask(data, split, seed=arguments.seed)))
        print(page[-1], flush=True)
        RESULT.write_text("\n".join([*page, ""]))
    print(f"written to {RESULT}")


def row_of(name: str, told: Told) -> str:
    """A line of the table."""
    rmse = float(np.sqrt(np.mean(told.error**2)))
    quarters = ", ".join(f"{deviation:.2f}: {error:.2f}" for deviation, error in told.by_parts())
    return (
        f"| {name} | {rmse:.4f} | {told.share_within(1):.1%} | {told.share_within(2):.1%} | "
        f"{surprise(told.error, told.deviation):.4f} | {surprise(told.error, rmse):.4f} | {quarters} |"
    )


def _head(split: Split, seed: int) -> list[str]:
    versions = installed_versions()
    shown = ", ".join(f"{name} {versions[name]}" for name in ("tensorflow", "numpy") if name in versions)
    return [
        "# How sure expected ratings are, on MovieLens 100K",
        "",
        f"Written by `make benchmark-ratings` on {datetime.now(UTC):%Y-%m-%d}, {shown}.",
        "",
        f"Random 80/20, seed {seed}: {len(split.test):,} ratings that no model has seen, each held against the rating "
        "expected of it and",
        "the deviation told ([ranking-ratings.md](../ranking-ratings.md)). A normal distribution has 68.3% within one",
        "deviation and 95.4% within two. The likelihood is that of normal distributions; beside it stands that of one",
        "deviation for all rows, the best there is: the RMSE on these very rows, which no model can know. By quarters",
        "of the rows, from the surest to the least sure: the deviation told, and the RMSE found.",
        "",
        "| model | RMSE | within one | within two | mean -log likelihood | of one deviation | told: found |",
        "|---|---|---|---|---|---|---|",
    ]


if __name__ == "__main__":
    main()
