"""All kinds of models that a config may name: those of both registries, and the one model that is both stages."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from belfry.layers.config import ModelConfig, union_of
from belfry.ranking import registry as rankers
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.registry import RankerKind
from belfry.retrieval import registry as retrievers
from belfry.retrieval.registry import QUERY_TOWER_OF_BAGS, RetrieverKind

RANKER_KINDS = rankers.KINDS

_TOWERS = {kind: row for kind, row in retrievers.KINDS.items() if row.has_vectors} | {
    "multitask": RetrieverKind(
        MultitaskConfig,
        "belfry.ranking.multitask.model:MultitaskModel",
        QUERY_TOWER_OF_BAGS,
        reads_user_features=True,
        reads_weight=True,
    )
}
SOURCE_KINDS: Mapping[str, RetrieverKind] = {**_TOWERS, **retrievers.KINDS}  # those with vectors first

if TYPE_CHECKING:  # pydantic knows each kind's own settings, all others what they share
    TowerConfig: TypeAlias = ModelConfig
    SourceModelConfig: TypeAlias = ModelConfig
    RankerConfig: TypeAlias = ModelConfig
else:
    TowerConfig = union_of(row.config for row in _TOWERS.values())
    SourceModelConfig = union_of(row.config for row in SOURCE_KINDS.values())
    RankerConfig = union_of(row.config for row in RANKER_KINDS.values())


def source_kind(config: ModelConfig) -> RetrieverKind:
    """The row of a source's settings."""
    return SOURCE_KINDS[config.kind]


def ranker_kind(config: ModelConfig) -> RankerKind:
    """The row of a ranker's settings."""
    return RANKER_KINDS[config.kind]
