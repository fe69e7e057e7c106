"""The answer for users without a history, on the newcomers of time splits of MovieLens 100K.

Run as `python -m benchmarks.cold [--data-folder DIR]`. Writes docs/results/cold.md. The earlier cuts lie inside the
train part of the last one; settings are chosen on them. The curve asks the default preset, trained in front of a cut,
for newcomers behind it: by their features, and by features and their first watches. Another learns from ids alone,
and is asked for users whom it knows nothing of.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.columns import ITEM_ID, USER_ID
from belfry.dataset.folds import Holdout
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import Split, split_time
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import ItemNums
from belfry.evaluation.metrics import PerUser, hits, lists_of, ndcg
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.serving.users.session import SESSION_USER, session_tables
from belfry.pipeline.training.train import train
from belfry.retrieval.popularity import Popularity, PopularityConfig
from belfry.retrieval.registry import make_towers

RESULT = Path(__file__).parent.parent / "docs" / "results" / "cold.md"
EARLIER_CUTS = np.linspace(0.5, 0.85, 15)  # shares of the train part
CURVE_CUTS = (0.7, 0.55)  # shares of the train part, beside the last cut
WATCHES = (0, 1, 2, 3, 5, 10)  # first ones of a newcomer
N_HIDDEN = 200
TOWER_WEIGHTS = (0.1, 0.2, 0.5)  # beside the default popularity
ANSWERS = {
    "plain popularity": PopularityConfig(),
    "half-life 30 days": PopularityConfig(half_life_days=30),
    "half-life 14 days": PopularityConfig(half_life_days=14),
    "half-life 14 days, by group": PopularityConfig(half_life_days=14, segment_smoothing=20),
    "half-life 14 days, activity damped": PopularityConfig(half_life_days=14, activity_damping=0.5),
    "half-life 14 days, activity damped, by group": PipelineConfig().popularity,
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
        lines.append(_row(name, [_ndcg(data, split, config) for split in (*earlier, test)]))
    cuts = [_by_tower_weight(data, split) for split in (*earlier, test)]
    for weight in TOWER_WEIGHTS:
        default = " (default)" if weight == PipelineConfig().tower_weight_for_cold_users(data.users) else ""
        lines.append(_row(f"the last, and the towers by {weight}{default}", [found[weight] for found in cuts]))
    for name, split in curve_splits(test).items():
        lines += curve(name, split, _trained(data, split, "time"))
    ids = prepare(check(Tables(data.interactions.to_table().select([USER_ID, ITEM_ID])))[0])
    split = hide_users(ids)
    lines += curve(f"ids alone, {N_HIDDEN} users hidden", split, _trained(ids, split, "random"))
    RESULT.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def curve_splits(test: Split) -> dict[str, Split]:
    """The last cut, and earlier ones."""
    earlier = {f"an earlier cut, at {share:.0%} of the train part": share for share in CURVE_CUTS}
    return {"the cut at 80%": test} | {name: split_time(test.train, share=share) for name, share in earlier.items()}


def hide_users(data: Data) -> Split:
    """Some users, whose events come in random order, and all others."""
    generator, events = np.random.default_rng(0), data.interactions
    hidden = generator.permutation(np.unique(events.user_num))[:N_HIDDEN]
    theirs = events.select(generator.permutation(np.flatnonzero(np.isin(events.user_num, hidden))))
    return Split(events.without_users(hidden), theirs)


def _trained(data: Data, split: Split, holdout: Holdout) -> TwoStage:
    config = load_config("default", holdout=holdout)
    return train(replace(data, interactions=split.train), config, holdout=holdout, seed=0).two_stage


def curve(name: str, split: Split, stages: TwoStage) -> list[str]:
    """NDCG@10 of newcomers after their first watches, as lines of Markdown."""
    popularity = Popularity(PopularityConfig()).fit(split.train, stages.features, seed=0)
    later, longest = split.test, max(WATCHES)
    users = [user for user in _newcomers(split).tolist() if len(later.by_user.of(user)) > longest]
    found: dict[int, list[list[float]]] = {count: [] for count in WATCHES}
    for user in users:
        events = later.item_num[later.by_user.of(user)]
        popular = popularity.retrieve(
            np.array([user], np.int32), stages.features, top_k=10 + longest, exclude=split.train.seen_items
        ).item_num
        for count in WATCHES:
            asked = replace(stages, features=session_tables(stages.features, user, events[:count]))
            judged = []
            for first in (np.unique(events[:count]), np.unique(events[:longest])):
                relevant = np.setdiff1d(events, first)
                lists = asked.lists(
                    SESSION_USER, "final", n=10, exclude=asked.features.history.seen_items, blocked=first
                )
                plain = popular[~np.isin(popular, first)][:10]
                judged += [_ndcg_of(lists.item_num, relevant), _ndcg_of(plain, relevant)]
            found[count].append(judged)
    lines = [
        "",
        f"## From cold to warm: {name}",
        "",
        f"{len(users)} newcomers, asked for by features and their first watches. To be found is what they watched",
        f"after these; on the right, what they watched after the first {longest}, so that all rows are of the same",
        "items. ± is half of a 95% interval of the difference, users paired.",
        "",
        f"| watches | NDCG@10 | against plain popularity | after the first {longest} | against plain popularity "
        "| against the cold list |",
        "|---|---|---|---|---|---|",
    ]
    cold = np.array(found[0])[:, 2]
    for count, rows in found.items():
        following, popular_now, late, popular_late = np.array(rows).T
        against_cold = _difference(late - cold) if count else ""
        lines.append(
            f"| {count} | {following.mean():.4f} | {_difference(following - popular_now)} "
            f"| {late.mean():.4f} | {_difference(late - popular_late)} | {against_cold} |"
        )
    return lines


def _difference(values: PerUser) -> str:
    return f"{values.mean():+.4f} ± {1.96 * values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def _ndcg_of(items: ItemNums, relevant: ItemNums) -> float:
    discounts = 1 / np.log2(np.arange(2, 12))
    hit = np.isin(items, relevant)
    return float((hit * discounts[: len(items)]).sum() / discounts[: len(relevant)].sum())


def _row(name: str, found: Sequence[PerUser]) -> str:
    """`found` of the earlier cuts, and of the last one."""
    *before, last = found
    half_width = 1.96 * last.std(ddof=1) / np.sqrt(len(last))
    return f"| {name} | {np.mean([values.mean() for values in before]):.4f} | {last.mean():.4f} ± {half_width:.3f} |"


def _newcomers(split: Split) -> np.ndarray:
    users = np.unique(split.test.user_num)
    return users[np.diff(split.train.by_user.starts)[users] == 0]


def _ndcg(data: Data, split: Split, config: PopularityConfig) -> PerUser:
    """[n_newcomers] NDCG@10."""
    features = data.features(split.train)
    popularity = Popularity(config).fit(split.train, features, seed=0)
    found = popularity.retrieve(_newcomers(split), features, top_k=10, exclude=split.train.seen_items)
    return _judge(found, split)


def _by_tower_weight(data: Data, split: Split) -> dict[float, PerUser]:
    """Weight -> [n_newcomers] NDCG@10 of the cold answer of the default preset, with that weight of the towers."""
    config, features = load_config("default", holdout="time"), data.features(split.train)
    towers = make_towers(config.retrieval).fit(split.train, features, seed=0)
    popularity = Popularity(config.popularity).fit(split.train, features, seed=0)
    vectors = towers.encode_candidates(features.history.items.all_numbers, features)
    answers = {}
    for weight in TOWER_WEIGHTS:
        stages = TwoStage(features, towers, vectors, popularity, popularity, weight, None, config.n_candidates)
        found = stages.lists(
            _newcomers(split), n=10, stage="final", exclude=split.train.seen_items, blocked=np.zeros(0, np.int32)
        )
        answers[weight] = _judge(found, split)
    return answers


def _judge(found: Candidates, split: Split) -> PerUser:
    later = split.test.seen_items
    return ndcg(hits(lists_of(found, 10), found.users, later), later.count(found.users))


if __name__ == "__main__":
    main()
