"""All kinds of models that a config may name: those of both registries, and towers that expect labels too."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

from belfry.layers.config import ModelConfig, imported, union_of
from belfry.layers.saved.files import ReadablePath
from belfry.ranking import registry as rankers
from belfry.ranking.base import LabelRanker
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
        places_new_items=True,
        reads_weight=True,
    )
}
SOURCE_KINDS: Mapping[str, RetrieverKind] = {**_TOWERS, **retrievers.KINDS}  # those with vectors first
# Sources that expect labels too, as the protocol `LabelRanker` has it: the serving form, made of folder and config.
_LABELS: Mapping[str, str] = {"multitask": "belfry.ranking.multitask.serving:OnnxMultitask"}

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


def expects_labels(config: ModelConfig) -> bool:
    """Whether the model of a source meets the protocol `LabelRanker`."""
    return config.kind in _LABELS


def load_labels(folder: ReadablePath, config: ModelConfig) -> LabelRanker | None:
    """What a source in serving form expects of labels; None where it expects none."""
    return cast(LabelRanker, imported(_LABELS[config.kind])(folder, config)) if expects_labels(config) else None


def ranker_kind(config: ModelConfig) -> RankerKind:
    """The row of a ranker's settings."""
    return RANKER_KINDS[config.kind]
