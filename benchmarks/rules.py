"""What rules cost and bring on MovieLens 100K: NDCG beside how different and how calibrated the lists are.

Run as `python -m benchmarks.rules [--data-folder DIR]`. Writes docs/results/rules.md. Two runs of the default preset
are trained: one on a part of the train part, whose rest is the validation part that settings are chosen on, and one on
all of it for the test part, on which only the chosen settings are judged.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import Split, split_random
from belfry.dataset.validation.check import check
from belfry.evaluation import beyond
from belfry.evaluation.intervals import paired_intervals
from belfry.evaluation.metrics import Lists, PerUser, hits, lists_of, ndcg
from belfry.pipeline.config import load_config
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules.apply import lists_under_rules
from belfry.pipeline.serving.rules.config import Calibration, Diversity, Rules
from belfry.pipeline.training.publish import train_and_publish

RESULT = Path(__file__).parent.parent / "docs" / "results" / "rules.md"
N, GENRES = 10, "genres"
NDCG, BY_GENRE, BY_VECTORS, BY_WATCHERS, DIVERGENCE = (
    "NDCG@10",
    "diversity by genres",
    "by vectors",
    "by co-watching",
    "divergence of genres",
)
WEIGHTS = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
DEPTHS = (30, 50, 100)


@dataclass(frozen=True)
class Sweep:
    """Settings of one rule, of which the cheapest is wanted that changes `metric` by `wanted`."""

    name: str
    metric: str
    wanted: float  # relative
    rules: tuple[Rules, ...]


def sweeps() -> list[Sweep]:
    grid = [(weight, depth) for depth in DEPTHS for weight in WEIGHTS]
    found = []
    for method in ("sum", "mmr", "dpp"):
        for column, metric in ((GENRES, BY_GENRE), (None, BY_VECTORS)):
            rules = tuple(
                Rules(diversity=Diversity(column=column, method=method, weight=weight), depth=depth)  # type: ignore[arg-type]
                for weight, depth in grid
            )
            found.append(Sweep(f"diversity {metric.removeprefix('diversity ')}, `{method}`", metric, 0.2, rules))
    rules = tuple(Rules(calibration=Calibration(column=GENRES, weight=weight), depth=depth) for weight, depth in grid)
    return [*found, Sweep("calibration of genres", DIVERGENCE, -0.5, rules)]


class Judge:
    """Lists of one run, judged on what its users did later."""

    def __init__(self, recommender: Recommender, split: Split) -> None:
        self._recommender = recommender
        self._history, self._later = split.train, split.test.seen_items
        has_history = np.diff(split.train.seen_items.starts) > 0
        self._users = np.flatnonzero((np.diff(self._later.starts) > 0) & has_history).astype(np.int32)
        labels = recommender.bound(Rules(calibration=Calibration(column=GENRES)))
        assert labels is not None and labels.shares is not None
        self._shares = labels.shares
        genres = labels.shares / np.maximum(np.linalg.norm(labels.shares, axis=1, keepdims=True), 1e-9)
        vectors = labels.catalogue.directions()
        self._alike = {BY_GENRE: genres @ genres.T, BY_VECTORS: vectors @ vectors.T}

    def judge(self, rules: Rules | None) -> dict[str, PerUser]:
        """Metric -> [n_users]."""
        two_stage, seen = self._recommender.two_stage, self._history.seen_items
        bound = self._recommender.bound(rules)
        if bound is None:
            found = two_stage.lists(self._users, "final", n=N, exclude=seen, blocked=np.zeros(0, np.int32))
        else:
            found = lists_under_rules(two_stage, self._users, N, seen, bound)
        lists = lists_of(found, N)
        return {
            NDCG: ndcg(hits(lists, self._users, self._later), self._later.count(self._users)),
            **{name: _diversity(lists, alike) for name, alike in self._alike.items()},
            BY_WATCHERS: beyond.intra_list_diversity(lists, self._history),
            DIVERGENCE: beyond.miscalibration(lists, self._users, self._history, self._shares.astype(np.float64)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    data = prepare(check(read_data("ml-100k", parser.parse_args().data_folder))[0])
    outer = split_random(data.interactions, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        validation, test = (
            Judge(_trained_on(data, split, Path(folder) / str(place)), split)
            for place, split in enumerate([split_random(outer.train, seed=1), outer])
        )
        chosen = {sweep.name: _chosen(sweep, validation) for sweep in sweeps()}
        RESULT.write_text("\n".join([*_page(chosen, validation, test), ""]))
    print(RESULT.read_text())


def _trained_on(data: Data, split: Split, artifacts: Path) -> Recommender:
    config = load_config("default", holdout="random")
    part = replace(data, interactions=split.train)
    run = train_and_publish(part, config, preset="default", holdout="random", seed=0, artifacts=artifacts)
    return Recommender.load(run)


def _chosen(sweep: Sweep, judge: Judge) -> Rules:
    """Of the settings that change the metric as wanted, the one with the highest NDCG; else the one nearest to it."""
    without = _means(judge.judge(None))
    found = [(_means(judge.judge(rules)), rules) for rules in sweep.rules]
    shares = [(metrics[sweep.metric] / without[sweep.metric] - 1) / sweep.wanted for metrics, _ in found]
    reached = [place for place, share in enumerate(shares) if share >= 1] or [int(np.argmax(shares))]
    return found[max(reached, key=lambda place: found[place][0][NDCG])][1]


def _page(chosen: dict[str, Rules], validation: Judge, test: Judge) -> Iterator[str]:
    yield from (
        "# What rules cost",
        "",
        f"Written by `python -m benchmarks.rules` on {datetime.now(UTC):%Y-%m-%d}. MovieLens 100K, random 80/20 split,",
        f"seed 0, default preset, lists of {N}. Of each rule, the setting was chosen on a validation part of the train",
        "part: the highest NDCG of those that make lists 20% more different, or halve the divergence of genres. In",
        "brackets the change against lists without rules; of NDCG on the test part, its 95% interval over users.",
        "",
        "Diversity is 1 - the mean cosine of all pairs of a list: of the sets of genres, of the items' vectors in the",
        "towers, and of who watched them. Divergence is Steck's: of the genres in the list from those in the history.",
    )
    for name, judge in (("Test part", test), ("Validation part", validation)):
        without = judge.judge(None)
        yield from ("", f"## {name}", "")
        yield f"| rule | setting | {NDCG} | {BY_GENRE} | {BY_VECTORS} | {BY_WATCHERS} | {DIVERGENCE} |"
        yield "|---|---|---|---|---|---|---|"
        yield f"| none | | {' | '.join(f'{value:.4f}' for value in _means(without).values())} |"
        for rule, rules in chosen.items():
            weight = (rules.diversity or rules.calibration or Diversity()).weight
            cells = _cells(without, judge.judge(rules), with_interval=judge is test)
            yield f"| {rule} | weight {weight}, depth {rules.depth} | {' | '.join(cells)} |"


def _cells(without: dict[str, PerUser], under: dict[str, PerUser], *, with_interval: bool) -> Sequence[str]:
    cells = []
    for name, mean in _means(under).items():
        base = float(np.nanmean(without[name]))
        change = f"{mean / base - 1:+.1%}"
        if name == NDCG and with_interval:
            (interval,) = paired_intervals(without[name][:, None], under[name][:, None], seed=0)
            change += f", {interval.low / base:+.1%} to {interval.high / base:+.1%}"
        cells.append(f"{mean:.4f} ({change})")
    return cells


def _means(metrics: dict[str, PerUser]) -> dict[str, float]:
    return {name: float(np.nanmean(values)) for name, values in metrics.items()}


def _diversity(lists: Lists, alike: np.ndarray) -> PerUser:
    """[n_users] 1 - mean of `alike` [n_items + 1, n_items + 1] over the pairs of each list; lists are full."""
    first, second = np.triu_indices(lists.shape[1], 1)
    return np.asarray(1 - alike[lists[:, first], lists[:, second]].mean(axis=1), np.float64)


if __name__ == "__main__":
    main()
