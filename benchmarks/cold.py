"""The answer for users without a history, on the newcomers of time splits of MovieLens 100K.

Run as `python -m benchmarks.cold [--data-folder DIR]`. Writes docs/results/cold.md. The earlier cuts lie inside the
train part of the last one; settings are chosen on them.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dataset.sources.open import read_data
from dataset.split import Split, split_time
from dataset.validation import check
from evaluation.metrics import PerUser, hits, lists_of, ndcg
from pipeline.config import PipelineConfig
from pipeline.data import Data, prepare
from retrieval.popularity import Popularity, PopularityConfig

RESULT = Path(__file__).parent.parent / "docs" / "results" / "cold.md"
EARLIER_CUTS = np.linspace(0.5, 0.85, 15)  # shares of the train part
ANSWERS = {
    "plain popularity": PopularityConfig(),
    "half-life 30 days": PopularityConfig(half_life_days=30),
    "half-life 14 days": PopularityConfig(half_life_days=14),
    "half-life 14 days, by group": PopularityConfig(half_life_days=14, segment_smoothing=20),
    "half-life 14 days, activity damped": PopularityConfig(half_life_days=14, activity_damping=0.5),
    "half-life 14 days, activity damped, by group (default)": PipelineConfig().popularity,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    data = prepare(check(read_data("ml-100k", parser.parse_args().data_folder))[0])
    test = split_time(data.interactions)
    earlier = [split_time(test.train, share=share) for share in EARLIER_CUTS]
    lines = [
        "# Users without a history",
        "",
        f"Written by `python -m benchmarks.cold` on {datetime.now(UTC):%Y-%m-%d}. MovieLens 100K, NDCG@10 over the",
        f"whole catalogue for the {len(_newcomers(test))} newcomers behind a cut at 80%; beside it the mean of",
        f"{len(earlier)} earlier cuts, on which the settings were chosen. ± is half of a 95% interval over users.",
        "",
        "| answer | earlier cuts | cut at 80% |",
        "|---|---|---|",
    ]
    for name, config in ANSWERS.items():
        before = np.mean([_ndcg(data, split, config).mean() for split in earlier])
        last = _ndcg(data, test, config)
        half_width = 1.96 * last.std(ddof=1) / np.sqrt(len(last))
        lines.append(f"| {name} | {before:.4f} | {last.mean():.4f} ± {half_width:.3f} |")
    RESULT.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def _newcomers(split: Split) -> np.ndarray:
    users = np.unique(split.test.user_num)
    return users[np.diff(split.train.by_user.starts)[users] == 0]


def _ndcg(data: Data, split: Split, config: PopularityConfig) -> PerUser:
    """[n_newcomers] NDCG@10."""
    users, features = _newcomers(split), data.features(split.train)
    popularity = Popularity(config).fit(split.train, features, seed=0)
    found = popularity.retrieve(users, features, top_k=10, exclude=split.train.seen_items)
    later = split.test.seen_items
    return ndcg(hits(lists_of(found, 10), users, later), later.count(users))


if __name__ == "__main__":
    main()
