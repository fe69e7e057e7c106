"""What is judged: every data set at hand, and the rules beside the default preset."""

from collections.abc import Mapping

from belfry.dataset.folds import Holdout
from belfry.dataset.interactions import Interactions
from belfry.dataset.split import Split, split_last_out, split_random
from belfry.layers.config import ModelConfig
from belfry.retrieval.models.als import ALSConfig
from belfry.retrieval.models.ease import EASEConfig
from belfry.retrieval.models.item_knn import ItemKNNConfig
from belfry.retrieval.models.sequential_rules import SequentialRulesConfig
from belfry.retrieval.popularity import PopularityConfig
from benchmarks.everywhere.plays import PlaysCase, RatingsAsWeightsCase
from benchmarks.everywhere.shops import ShopCase
from benchmarks.leaderboard.splits import CASES as LEADERBOARD_CASES
from benchmarks.leaderboard.splits import Case

LISTS, RETRIEVAL = "default, lists", "default, retrieval alone"
# At their defaults but for what the name says, and tuned on nothing here.
RULES: Mapping[str, ModelConfig] = {
    "popularity": PopularityConfig(),
    "ItemKNN, cosine": ItemKNNConfig(),
    "ItemKNN, cosine, half-life 1": ItemKNNConfig(half_life=1),
    "ItemKNN, bm25": ItemKNNConfig(similarity="bm25"),
    "ItemKNN, bm25, half-life 1": ItemKNNConfig(similarity="bm25", half_life=1),
    "EASE": EASEConfig(max_items=5_000),  # its time is cubic
    "ALS": ALSConfig(),
    "sequential rules": SequentialRulesConfig(),
}


def _random(events: Interactions, seed: int) -> Split:
    return split_random(events, seed=seed)


def _last(events: Interactions, seed: int) -> Split:
    return split_last_out(events)


def _shop(short: str, title: str, file: str) -> tuple[Case, ...]:
    return (
        ShopCase(f"{short}-last", f"{title}, each user's last event", file, _last),
        ShopCase(
            f"{short}-attributes", f"{title}, last event, with item attributes", file, _last, with_attributes=True
        ),
        ShopCase(f"{short}-random", f"{title}, ids without order, random 80/20", file, _random, in_order=False),
    )


_MOVIELENS: Mapping[str, Holdout] = {
    "100k-random": "random",
    "100k-last": "last",
    "100k-time": "time",
    "1m-random": "random",
}
CASES: tuple[Case, ...] = (
    *(case for case in LEADERBOARD_CASES if case.name in _MOVIELENS),
    *_shop("beauty", "Amazon Beauty", "Beauty"),
    *_shop("sports", "Amazon Sports and Outdoors", "Sports_and_Outdoors"),
    PlaysCase("plays", "Generated play counts, without the counts, random 80/20", "", _random, with_weights=False),
    PlaysCase("plays-weights", "Generated play counts as weights, random 80/20", "", _random),
    RatingsAsWeightsCase(
        "100k-weights", "MovieLens 100K with ratings as weights too, random 80/20", "ml-100k", _random
    ),
)
HOLDOUTS: Mapping[str, Holdout] = {  # the one that looks like the split
    **{case.name: "random" for case in CASES},
    **_MOVIELENS,
    **{case.name: "last" for case in CASES if isinstance(case, ShopCase) and case.in_order},
}
WITHOUT = {  # case with attributes or weights -> the same without
    "beauty-attributes": "beauty-last",
    "sports-attributes": "sports-last",
    "plays-weights": "plays",
    "100k-weights": "100k-random",
}
