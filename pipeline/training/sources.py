"""The sources of candidates: which ones the data allow, their training, and how they are kept."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import Numbers
from belfry.pipeline.config import PipelineConfig, SearchedConfig, SourceModelConfig
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.model import MultitaskModel
from belfry.retrieval.base import Embeddings, Retriever, RetrieverModel, TowerModel, Towers
from belfry.retrieval.index.base import CandidateIndex
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.registry import make_retriever, make_towers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchedTowers:
    """Trained towers, and what is searched for their candidates."""

    model: TowerModel
    vectors: Embeddings  # [n_items + 1, dim]
    index: CandidateIndex


TrainedSource: TypeAlias = SearchedTowers | RetrieverModel


def keep_usable(config: PipelineConfig, data: Data) -> tuple[PipelineConfig, dict[str, str]]:
    """The config without the optional sources that these data do not allow; and those, by name, with the reason.

    Raises:
        InputError: a source that is not optional cannot use the data; the message names it and the column or limit.
    """
    features = data.features(data.interactions)
    left_out: dict[str, str] = {}
    kept = []
    for name, source in config.named_sources.items():
        try:
            make_model(source.model).check(data.interactions, features)
            kept.append(source)
        except InputError as error:
            if not source.optional:
                raise InputError(f"source {name!r}: {error}") from error
            left_out[name] = str(error)
            log.info("source %r is left out: %s", name, error)
    return config.model_copy(update={"sources": tuple(kept[1:])}), left_out  # the first is never optional


def make_model(config: SourceModelConfig) -> TowerModel | RetrieverModel:
    """An untrained system of any kind."""
    return make_searched(config) if isinstance(config, SearchedConfig) else make_retriever(config)


def make_searched(config: SearchedConfig) -> TowerModel:
    """Untrained towers, be they of retrieval or of a model that is both stages."""
    return MultitaskModel(config) if isinstance(config, MultitaskConfig) else make_towers(config)


def fit_source(
    config: SourceModelConfig,
    history: Interactions,
    features: FeatureTables,
    index: IndexConfig,
    *,
    seed: int,
    epochs: int | None,
    validate: Callable[[Towers], float] | None,
    progress: Callable[[int, int], None],
) -> TrainedSource:
    """A system trained on `history`; towers with an index, the rest as in `NeuralTowers.fit`."""
    if not isinstance(config, SearchedConfig):
        return make_retriever(config).fit(history, features, seed=seed)
    towers = make_searched(config).fit(
        history, features, seed=seed, epochs=epochs, validate=validate, progress=progress
    )
    items = all_items(features)
    vectors = towers.encode_candidates(items, features)
    return SearchedTowers(towers, vectors, build_index(vectors[1:], items[1:], index))


def retriever_of(source: TrainedSource, name: str) -> Retriever:
    return IndexedRetriever(source.model, source.index, name) if isinstance(source, SearchedTowers) else source


def save_serving_form(source: TrainedSource, folder: Path, features: FeatureTables) -> None:
    """What `serving.load_source` reads: of towers the query side, the vectors and the index."""
    folder.mkdir(parents=True)
    if not isinstance(source, SearchedTowers):
        source.save(folder)
        return
    source.model.export(folder, features)
    np.save(folder / "vectors.npy", source.vectors)
    source.index.save(folder / "index")


def all_items(features: FeatureTables) -> Numbers:
    """Every item number, and 0 for the unknown."""
    return np.arange(len(features.history.items) + 1, dtype=np.int32)
