"""The systems of the leaderboard: one line each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.leaderboard.results import key_of
from retrieval.als import ALSConfig
from retrieval.config import ModelConfig, ReportConfig, SequenceConfig, TowerConfig, TwoTowerConfig
from retrieval.ease import EASEConfig
from retrieval.item_knn import ItemKNNConfig
from retrieval.popularity import PopularityConfig

RANDOM = frozenset({"100k-random"})
TIMED = frozenset({"100k-last", "100k-time"})
SMALL = RANDOM | TIMED
ALL = SMALL | {"1m-random"}


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


Entry: TypeAlias = System | Combination


def same(config: ModelConfig) -> Callable[[str], ModelConfig]:
    """One config for every split."""
    return lambda split: config


def two_tower(**settings: Any) -> Callable[[str], TowerConfig]:
    """What `--holdout` sets, the targets, goes by the split; the rest as given."""
    return lambda split: TwoTowerConfig(targets="next" if split in TIMED else "any", **settings)


SYSTEMS = (
    System("popularity", same(PopularityConfig())),
    System("popularity-7-days", same(PopularityConfig(half_life_days=7)), TIMED),
    System("popularity-14-days", same(PopularityConfig(half_life_days=14)), TIMED),
    System("popularity-30-days", same(PopularityConfig(half_life_days=30)), TIMED),
    System("popularity-segment", same(PopularityConfig(segment_smoothing=20))),
    System("item-knn", same(ItemKNNConfig())),
    System("ease", same(EASEConfig())),
    System("ease-recent", same(EASEConfig(half_life=5)), TIMED),
    System("als", same(ALSConfig())),
    System("two-tower", two_tower()),
    System("sequence-attention", same(SequenceConfig()), TIMED),
    System("sequence-recurrent", same(SequenceConfig(encoder="recurrent")), TIMED),
    System("sequence-context", same(SequenceConfig(context=True)), TIMED),
    System("sequence-time", same(SequenceConfig(time=True)), TIMED),
    System("report", same(ReportConfig())),
    System("report-sigmoid", same(ReportConfig(objective="sigmoid")), SMALL),
)
BY_NAME = {system.name: system for system in SYSTEMS}
COMBINATIONS = (
    Combination("two-tower+ease", ("two-tower", "ease"), ALL - TIMED),
    Combination("two-tower+ease+als", ("two-tower", "ease", "als"), ALL - TIMED),
    Combination("two-tower+ease-recent", ("two-tower", "ease-recent"), TIMED),
    Combination(
        "two-tower+sequence+recent",
        ("two-tower", "sequence-time", "ease-recent", "popularity-7-days", "popularity-30-days"),
        TIMED,
    ),
)
ENTRIES: tuple[Entry, ...] = SYSTEMS + COMBINATIONS  # combinations last: their parts must be measured before
