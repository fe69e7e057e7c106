"""The sources of candidates: which ones the data allow, their training, and how they are kept."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import sample_users
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.layers.config import ModelConfig
from belfry.layers.model import Epoch
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import source_kind
from belfry.pipeline.serving.load import INDEX, VECTORS_FILE
from belfry.retrieval.base import (
    EarlierWeights,
    Embeddings,
    NewItemTowers,
    Retriever,
    RetrieverModel,
    TowerModel,
    Towers,
    WarmTowers,
)
from belfry.retrieval.index.base import CandidateIndex
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.indexed import IndexedRetriever

N_INDEX_QUERIES = 300  # users whose queries an approximate index is measured on

log = logging.getLogger(__name__)


class TrainedSource(Protocol):
    """A trained system, whatever makes its lists."""

    @property
    def epochs(self) -> int | None:
        """Trained; 0 where training knows none, None where it has no towers."""

    @property
    def curve(self) -> Sequence[Epoch]:
        """How it was trained, by epoch; none where training knows none."""

    @property
    def new_item_offset(self) -> float:
        """Of the scores of items without watches; 0 where it does not place them."""

    def retriever(self, name: str) -> Retriever:
        """Its candidates bear this name as their origin, where it has towers."""

    def save(self, folder: Path) -> None:
        """The training form, to go on from; nothing where the serving form is all that there is."""

    def export(self, folder: Path, features: FeatureTables) -> None:
        """The serving form, which `belfry.pipeline.serving.load` reads."""


@dataclass(frozen=True)
class SearchedTowers:
    """Trained towers, and what is searched for their candidates."""

    model: TowerModel
    vectors: Embeddings  # [n_items + 1, dim]
    index: CandidateIndex
    new_item_offset: float = 0.0  # of the scores of items without watches

    @property
    def epochs(self) -> int:
        return self.model.epochs_trained

    @property
    def curve(self) -> Sequence[Epoch]:
        return getattr(self.model, "curve", ())

    def retriever(self, name: str) -> Retriever:
        return IndexedRetriever(self.model, self.index, name)

    def save(self, folder: Path) -> None:
        self.model.save(folder)

    def export(self, folder: Path, features: FeatureTables) -> None:
        """The query side, the vectors and the index."""
        folder.mkdir(parents=True)
        self.model.export(folder, features)
        np.save(folder / VECTORS_FILE, self.vectors)
        self.index.save(folder / INDEX)


@dataclass(frozen=True)
class WholeRetriever:
    """A trained system without vectors."""

    model: RetrieverModel
    epochs: None = None
    curve: Sequence[Epoch] = ()
    new_item_offset: float = 0.0

    def retriever(self, name: str) -> Retriever:
        return self.model

    def save(self, folder: Path) -> None:
        pass

    def export(self, folder: Path, features: FeatureTables) -> None:
        self.model.save(folder)


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
            source_kind(source.model).check(source.model, data.interactions, features)
            kept.append(source)
        except InputError as error:
            if not source.optional:
                raise InputError(f"source {name!r}: {error}") from error
            left_out[name] = str(error)
            log.info("source %r is left out: %s", name, error)
    return config.model_copy(update={"sources": tuple(kept[1:])}), left_out  # the first is never optional


def fit_source(
    config: ModelConfig,
    history: Interactions,
    features: FeatureTables,
    index: IndexConfig,
    *,
    seed: int,
    epochs: int | None,
    validate: Callable[[Towers], float] | None,
    progress: Callable[[int, int], None],
    earlier: EarlierWeights | None = None,
    place_new_items: Callable[[NewItemTowers], float] | None = None,
) -> TrainedSource:
    """A system trained on `history`; towers with an index, the rest as in `NeuralTowers.fit`.

    Args:
        earlier: what towers go on from, in the place of nothing; of a kind that can.
        place_new_items: shifts the scores of new items in towers that know them by features, and tells by how much.
    """
    kind = source_kind(config)
    if not kind.has_vectors:
        return WholeRetriever(kind.make_retriever(config).fit(history, features, seed=seed))
    towers = kind.make_towers(config)
    if earlier is None:
        towers.fit(history, features, seed=seed, epochs=epochs, validate=validate, progress=progress)
    else:
        cast(WarmTowers, towers).train_on(history, features, earlier=earlier, seed=seed, progress=progress)
    items = history.items.all_numbers
    offset = 0.0
    if place_new_items and kind.places_new_items:
        offset = place_new_items(cast(NewItemTowers, towers))
    vectors = towers.encode_candidates(items, features)
    with_history = np.flatnonzero(np.diff(history.by_user.starts)).astype(np.int32)
    queries = towers.encode_queries(sample_users(with_history, N_INDEX_QUERIES, seed=seed), features)
    return SearchedTowers(towers, vectors, build_index(vectors[1:], items[1:], index, queries), offset)
