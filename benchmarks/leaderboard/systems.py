"""The systems of the leaderboard: one line each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from belfry.layers.config import ModelConfig
from belfry.retrieval.config import (
    AutoencoderConfig,
    FeedForwardMFConfig,
    RBMConfig,
    ReportConfig,
    SequenceConfig,
    TwoTowerConfig,
)
from belfry.retrieval.models.als import ALSConfig
from belfry.retrieval.models.autorec import AutoRecConfig
from belfry.retrieval.models.ease import EASEConfig
from belfry.retrieval.models.item2vec import Item2VecConfig
from belfry.retrieval.models.item_knn import ItemKNNConfig
from belfry.retrieval.models.logistic_mf import LogisticMFConfig
from belfry.retrieval.models.pure_svd import PureSVDConfig
from belfry.retrieval.popularity import PopularityConfig
from benchmarks.leaderboard.results import key_of

RANDOM = frozenset({"100k-random"})
TIMED = frozenset({"100k-last", "100k-time"})
SMALL = RANDOM | TIMED
ONE_MILLION = frozenset({"1m-random"})
SHOPS = frozenset({"beauty-last", "sports-last"})
ALL = SMALL | ONE_MILLION


@dataclass(frozen=True)
class System:
    """One row: its name on the command line and on the page, its config on a split, and the splits it runs on."""

    name: str
    config: Callable[[str], ModelConfig]
    splits: frozenset[str] = ALL

    def key(self, split: str) -> str:
        """Changes with any setting, defaults included."""
        return key_of(split, self.config(split).model_dump_json())


@dataclass(frozen=True)
class Combination:
    """Measured systems as sources of one list, with weights learned on the validation part."""

    name: str
    parts: tuple[str, ...]  # the first one fills up lists
    splits: frozenset[str]

    def key(self, split: str) -> str:
        """Changes with any setting of any part."""
        return key_of(split, *(f"{part} {BY_NAME[part].key(split)}" for part in self.parts))


@dataclass(frozen=True)
class Peer:
    """A system of another library: a script in `benchmarks/peers`, which lists the best 200."""

    name: str
    script: str
    epochs: int
    splits: frozenset[str]

    def key(self, split: str) -> str:
        return key_of(split, self.script, str(self.epochs))


Entry: TypeAlias = System | Combination | Peer


def same(config: ModelConfig) -> Callable[[str], ModelConfig]:
    """One config for every split."""
    return lambda split: config


def two_tower(**settings: Any) -> Callable[[str], TwoTowerConfig]:
    """What `--holdout` sets, the targets, goes by the split; the rest as given."""
    return lambda split: TwoTowerConfig(targets="next" if split in TIMED | SHOPS else "any", **settings)


SYSTEMS = (
    System("popularity", same(PopularityConfig()), ALL | SHOPS),
    System("popularity-7-days", same(PopularityConfig(half_life_days=7)), TIMED),
    System("popularity-14-days", same(PopularityConfig(half_life_days=14)), TIMED),
    System("popularity-30-days", same(PopularityConfig(half_life_days=30)), TIMED),
    System("popularity-segment", same(PopularityConfig(segment_smoothing=20))),
    System("item-knn", same(ItemKNNConfig()), ALL | SHOPS),
    System("ease", same(EASEConfig())),
    System("ease-recent", same(EASEConfig(half_life=5)), TIMED),
    System("als", same(ALSConfig())),
    System("pure-svd", same(PureSVDConfig()), ALL | SHOPS),
    System("logistic-mf", same(LogisticMFConfig())),
    System("feed-forward-mf", same(FeedForwardMFConfig()), RANDOM),
    System("feed-forward-mf-deep", same(FeedForwardMFConfig(hidden=(128, 64))), RANDOM),
    System("item2vec", same(Item2VecConfig()), RANDOM),
    System("user2vec", same(Item2VecConfig(users="vector")), RANDOM),
    System("autoencoder-denoising", same(AutoencoderConfig())),
    System("autoencoder-variational", same(AutoencoderConfig(variant="variational"))),
    System("autorec", same(AutoRecConfig()), RANDOM),
    System("rbm", same(RBMConfig()), RANDOM),
    System("two-tower", two_tower(), ALL | SHOPS),
    System("two-tower-large", two_tower(embedding_size=128, max_steps=7000, epochs=140), ONE_MILLION),
    System("two-tower-1-layer", two_tower(query_hidden=(128,), candidate_hidden=(128,)), RANDOM),
    System("two-tower-3-layers", two_tower(query_hidden=(128,) * 3, candidate_hidden=(128,) * 3), RANDOM),
    System("two-tower-random-start", two_tower(item_start="random", epochs=90), RANDOM),
    System("two-tower-example-age", two_tower(example_age=True), TIMED),
    System("two-tower-binary", two_tower(objective="binary"), RANDOM),
    System("two-tower-bpr", two_tower(objective="bpr"), RANDOM),
    System("two-tower-hinge", two_tower(objective="hinge"), RANDOM),
    System("siamese-triplet", two_tower(shares_items=True, similarity="euclidean", objective="triplet"), RANDOM),
    System("negatives-in-batch", two_tower(negatives="in_batch"), RANDOM),
    System("negatives-uniform", two_tower(negatives="uniform", n_candidates=500), RANDOM),
    System("negatives-popularity", two_tower(negatives="popularity", n_candidates=500), RANDOM),
    System("negatives-mixed", two_tower(negatives="mixed", n_candidates=1000), RANDOM),
    System("negatives-hard", two_tower(negatives="hard", n_negatives=200), RANDOM),
    System("sequence-attention", same(SequenceConfig()), TIMED | SHOPS),
    System("sequence-attention-random-start", same(SequenceConfig(item_start="random")), TIMED | SHOPS),
    System("sequence-recurrent", same(SequenceConfig(encoder="recurrent")), TIMED | SHOPS),
    System("sequence-context", same(SequenceConfig(context=True)), TIMED),
    System("sequence-time", same(SequenceConfig(time=True)), TIMED),
    System("report", same(ReportConfig()), SMALL),
    System("report-binary", same(ReportConfig(objective="binary")), RANDOM),
)
BY_NAME = {system.name: system for system in SYSTEMS}
COMBINATIONS = (
    Combination("two-tower+ease", ("two-tower", "ease"), ALL - TIMED),
    Combination("two-tower+als", ("two-tower", "als"), ALL - TIMED),
    Combination("two-tower+als+ease", ("two-tower", "als", "ease"), ALL - TIMED),
    Combination("two-tower+als+ease+variational", ("two-tower", "als", "ease", "autoencoder-variational"), ALL - TIMED),
    Combination(
        "eight-systems",
        (
            "two-tower",
            "two-tower-random-start",
            "two-tower-binary",
            "als",
            "ease",
            "autorec",
            "rbm",
            "autoencoder-variational",
        ),
        RANDOM,
    ),
    Combination("two-tower-large+als+ease", ("two-tower-large", "als", "ease"), ONE_MILLION),
    Combination("two-tower+ease-recent", ("two-tower", "ease-recent"), TIMED),
    Combination("two-tower+recent", ("two-tower", "ease-recent", "popularity-7-days", "popularity-30-days"), TIMED),
    Combination(
        "two-tower+sequence+recent",
        ("two-tower", "sequence-time", "ease-recent", "popularity-7-days", "popularity-30-days"),
        TIMED,
    ),
    Combination("two-tower+item-knn", ("two-tower", "item-knn"), SHOPS),
    Combination("two-tower+item-knn+sequence", ("two-tower", "item-knn", "sequence-attention"), SHOPS),
)
PEERS = (Peer("rectools-sasrec", "rectools_sasrec.py", 30, TIMED),)
ENTRIES: tuple[Entry, ...] = SYSTEMS + PEERS + COMBINATIONS  # combinations last: their parts must be measured before
