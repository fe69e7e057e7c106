"""Whether an A/B report may be believed: false alarms, coverage of intervals, power; on lists of MovieLens 100K.

Run as `python -m benchmarks.ab_validity [--data-folder DIR] [--comparisons 1000]`. Writes docs/results/ab-validity.md
and ends with 1 where a figure leaves its band. Lists are those of ItemKNN and EASE on the random split; per-user
metrics, tests and the rule of the verdict are those of `belfry compare`. Users are drawn anew, with replacement, for
every comparison.

Equal systems: whose list is A's and whose is B's is tossed for each user, so that both are equally good, though their
lists differ. Planted effects: B gets the better system's list for a share of the users, the rest is tossed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import optimize, stats

from belfry.dataset.candidates import Candidates
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.similarity import ease_weights
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import Split, split_random
from belfry.dataset.validation.check import check
from belfry.evaluation.engine import evaluate
from belfry.evaluation.intervals import N_RESAMPLES
from belfry.evaluation.plan import Plan
from belfry.evaluation.registry import ACCURACY
from belfry.evaluation.reports.comparison.inference import (
    ALPHA,
    N_FLIPS,
    POWER,
    Tested,
    compare_columns,
    correct,
    smallest_detectable,
)
from belfry.evaluation.table_lists import open_lists
from belfry.pipeline.jobs.compared_data import read_compare_data
from belfry.pipeline.runs.versions import installed_versions
from belfry.retrieval.dense import top_candidates
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig

RESULT = Path(__file__).parent.parent / "docs" / "results" / "ab-validity.md"
CUTOFFS = (5, 10)
METRICS = tuple(f"{kind}@{n}" for n in reversed(CUTOFFS) for kind in ACCURACY)  # the primary one, ndcg@10, first
EASE_L2 = 16.0  # docs/results/settings.md
BAND = 0.99


@dataclass(frozen=True)
class Row:
    """One figure against what it should be."""

    what: str
    found: float
    low: float
    high: float

    @property
    def is_in_band(self) -> bool:
        return self.low <= self.found <= self.high

    def __str__(self) -> str:
        verdict = "yes" if self.is_in_band else "**no**"
        return f"| {self.what} | {self.found:.1%} | {self.low:.1%} to {self.high:.1%} | {verdict} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--comparisons", type=int, default=1_000)
    arguments = parser.parse_args()
    n = arguments.comparisons
    differences = per_user_differences(arguments.data_folder)  # [n_users, n_metrics], EASE minus ItemKNN
    rows = [*equal_systems(differences, n), coverage_of_a_difference(differences, n), *planted(differences, n)]
    text = report(rows, len(differences), n)
    print(text)
    RESULT.write_text(text)
    sys.exit(not all(row.is_in_band for row in rows))


def equal_systems(differences: np.ndarray, n: int) -> list[Row]:
    """False alarms and coverage where the truth is no difference."""

    def tossed(generator: np.random.Generator) -> np.ndarray:
        drawn = differences[generator.integers(len(differences), size=len(differences))]
        return drawn * generator.choice([-1.0, 1.0], size=(len(drawn), 1))

    alarms, covered, families, by_test = 0, 0, 0, np.zeros(3)
    for tested in compared(tossed, n, "equal systems"):
        primary = tested[0]
        alarms += is_shown(primary)
        covered += primary.low <= 0 <= primary.high
        families += bool((correct([one.p_randomisation for one in tested]).holm < ALPHA).any())
        by_test += np.array([primary.p_randomisation, primary.p_t, primary.p_wilcoxon]) < ALPHA
    low, high = band(n, ALPHA)
    tests = zip(("randomisation", "t", "Wilcoxon"), by_test, strict=True)
    return [
        Row("false alarms of the verdict, equal systems", alarms / n, low, high),
        *(Row(f"false alarms of the {name} test", found / n, low, high) for name, found in tests),
        Row("95% intervals that hold the truth, equal systems", covered / n, *band(n, 1 - ALPHA)),
        Row(f"any false alarm among {len(METRICS)} metrics, with Holm", families / n, 0.0, high),
    ]


def coverage_of_a_difference(differences: np.ndarray, n: int) -> Row:
    """Coverage of the true difference between EASE and ItemKNN."""
    truth = differences[:, 0].mean()

    def drawn(generator: np.random.Generator) -> np.ndarray:
        return differences[generator.integers(len(differences), size=len(differences)), :1]

    covered = sum(one.low <= truth <= one.high for (one,) in compared(drawn, n, "coverage"))
    return Row(f"95% intervals that hold the truth, {truth:+.3f}", covered / n, *band(n, 1 - ALPHA))


def planted(differences: np.ndarray, n: int) -> list[Row]:
    """How often a true effect as large as the smallest detectable one is shown: to a few users, and to all of them."""
    primary = differences[:, 0]
    mean, deviation = primary.mean(), primary.std(ddof=1)
    n_few = next(size for size in range(10, 10_000) if smallest_detectable(deviation, size) <= mean)

    def few(generator: np.random.Generator) -> np.ndarray:
        return differences[generator.integers(len(differences), size=n_few), :1]

    def excess(share: float) -> float:
        spread = np.sqrt(np.mean(primary**2) - (share * mean) ** 2)
        return float(share * mean - smallest_detectable(spread, len(primary)))

    share = optimize.brentq(excess, 0.01, 1.0)

    def mixed(generator: np.random.Generator) -> np.ndarray:
        drawn = differences[generator.integers(len(differences), size=len(differences)), :1]
        sign = np.where(generator.random(len(drawn)) < share, 1.0, generator.choice([-1.0, 1.0], size=len(drawn)))
        return drawn * sign[:, None]

    rows = []
    for size, make, effect in ((n_few, few, mean), (len(primary), mixed, share * mean)):
        found = [one for (one,) in compared(make, n, f"power, {size} users")]
        stated = np.mean([one.detectable for one in found])
        shown = np.mean([is_shown(one) and one.difference > 0 for one in found])
        what = f"a true {effect:+.4f} is shown to {size} users (stated as detectable: {stated:.4f})"
        rows.append(Row(what, float(shown), POWER - 0.05, POWER + 0.05))
    return rows


def is_shown(one: Tested) -> bool:
    """The rule of the verdict, one challenger, no guardrails."""
    return one.p_randomisation < ALPHA and (one.low > 0 or one.high < 0)


def compared(make: Callable[[np.random.Generator], np.ndarray], n: int, what: str):
    """The tests of `n` comparisons of what `make` draws."""
    for seed in range(n):
        drawn = make(np.random.default_rng([1, seed]))
        if seed % 100 == 0:
            print(f"{what}: {seed} of {n}", file=sys.stderr, flush=True)
        yield compare_columns(list(drawn.T), n_users=len(drawn), seed=seed)


def band(n: int, share: float) -> tuple[float, float]:
    """Where the share of `n` cases falls in 99% of experiments."""
    low, high = stats.binom.interval(BAND, n, share)
    return low / n, high / n


def per_user_differences(data_folder: Path | None) -> np.ndarray:
    """[n_users, n_metrics] EASE minus ItemKNN on the random split, by the code behind `belfry compare`."""
    data = prepare(check(read_data("ml-100k", data_folder))[0])
    split = split_random(data.interactions, seed=0)
    context = read_compare_data(
        split.train.to_table(), split.test.to_table(), None, None, [], repeats="exclude", liked_from=None
    ).context
    scores = []
    for table, label in zip(lists(data, split), "AB", strict=True):
        with tempfile.TemporaryDirectory() as folder:
            source = open_lists(table, context, Path(folder), label=label)
            scores.append(evaluate(source, context, Plan.of_comparison(10, CUTOFFS)))
    knn, ease = (np.column_stack([one.per_user[name] for name in METRICS]) for one in scores)
    return ease - knn


def lists(data: Data, split: Split) -> list[pa.Table]:
    """Top-10 tables of ItemKNN and EASE."""
    history, features = split.train, data.features(split.train)
    users = np.unique(history.user_num)
    knn = (
        ItemKNN(ItemKNNConfig())
        .fit(history, features, seed=0)
        .retrieve(users, features, top_k=10, exclude=history.seen_items)
    )
    scores = history.matrix[users] @ ease_weights(history, l2=EASE_L2)
    ease = top_candidates(users, np.asarray(scores), history.seen_items, 10, "ease")
    return [as_table(found, history) for found in (knn, ease)]


def as_table(found: Candidates, history: Interactions) -> pa.Table:
    return pa.table(
        {
            "user_id": history.users.take(found.user_num),
            "item_id": history.items.take(found.item_num),
            "rank": found.rank,
        }
    )


def report(rows: list[Row], n_users: int, n: int) -> str:
    versions = installed_versions()
    shown = ", ".join(f"{name} {versions[name]}" for name in ("numpy", "scipy"))
    return "\n".join(
        [
            "# Whether an A/B report may be believed",
            "",
            f"Written by `python -m benchmarks.ab_validity` on {datetime.now(UTC):%Y-%m-%d}, {shown}.",
            "",
            f"{n:,} comparisons each, lists of ItemKNN and EASE for {n_users} users of MovieLens 100K (random split),",
            f"primary metric NDCG@10, {N_RESAMPLES:,} resamples, {N_FLIPS:,} flips. Users are drawn anew for every",
            "comparison. Equal systems are made by tossing, for each user, which of the two lists is A's. Bands are",
            "those in which 99 of 100 such experiments end; that of power is 5 points to either side.",
            "",
            "| what | found | band | inside |",
            "|---|---|---|---|",
            *map(str, rows),
            "",
            "Metrics are held against ranx and ir-measures to 1e-9, per user and as means, by",
            "`pytest tests/evaluation/test_registry.py`; intervals and tests against SciPy by",
            "`pytest tests/evaluation/test_intervals.py tests/evaluation/reports/comparison`.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
