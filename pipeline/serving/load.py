"""The serving form of both stages, read to answer. Imports no TensorFlow."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.pipeline.config import PipelineConfig, SourceConfig
from belfry.pipeline.kinds import load_labels, ranker_kind, source_kind
from belfry.pipeline.runs.manifest import REMEDY, invalid_file
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.ranking.base import Ranker, SavedRanker
from belfry.retrieval.base import Embeddings, Retriever, Towers
from belfry.retrieval.blend import Source, combine
from belfry.retrieval.index.choose import load_index
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.popularity import Popularity

SOURCES_FILE, SOURCES, POPULARITY, RANKER = "sources.json", "sources", "popularity", "ranker"  # of the folder
VECTORS_FILE, INDEX = "vectors.npy", "index"  # of the folder of a source
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")  # it names a folder

SOURCES_ADAPTER = TypeAdapter(dict[str, SourceConfig])


def load_serving(folder: Path, features: FeatureTables, config: PipelineConfig, *, gate_is_open: bool) -> TwoStage:
    """What training wrote, put together; without an open gate the ranker stays out.

    Raises:
        ArtifactError: the list of sources cannot be read, or names a source outside of the run.
    """
    named = read_sources(folder / SOURCES_FILE)
    sources: list[Source] = []
    searched: list[tuple[Towers, Embeddings]] = []
    for name, source in named.items():
        place, kind = folder / SOURCES / name, source_kind(source.model)
        retriever: Retriever
        if kind.has_vectors:
            vectors = np.load(place / VECTORS_FILE, mmap_mode="r")
            towers = kind.load_towers(place, source.model, vectors)
            searched.append((towers, vectors))
            retriever = IndexedRetriever(towers, load_index(place / INDEX), name)
        else:
            retriever = kind.load_retriever(place)
        assert source.weight is not None  # `read_sources` saw to it
        sources.append(Source(name, retriever, source.quota, source.weight))
    first_towers, first_vectors = searched[0]
    return TwoStage(
        features=features,
        towers=first_towers,
        vectors=first_vectors,
        retriever=combine(sources),
        popularity=Popularity.load(folder / POPULARITY),
        cold_weight=config.tower_weight_for_cold_users,
        ranker=_load_ranker(folder, config, named) if gate_is_open else None,
        n_candidates=config.n_candidates,
    )


def read_sources(path: Path) -> dict[str, SourceConfig]:
    """The sources of a run by name, the first one first, with the weights that were learned.

    Raises:
        ArtifactError: the file is no list of sources, or a name is none that Belfry gives.
    """
    try:
        named = SOURCES_ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        raise invalid_file(path, error) from error
    for name, source in named.items():
        if not _SOURCE_NAME.fullmatch(name):
            raise ArtifactError(
                f"{path}: source {name[:100]!r} cannot be a folder of the run; wanted lower-case letters, digits and "
                f"'_', a letter first; {REMEDY}"
            )
        if source.weight is None:
            raise ArtifactError(f"{path}: source {name!r} has no weight; {REMEDY}")
    if not named or not source_kind(next(iter(named.values())).model).has_vectors:
        raise ArtifactError(f"{path}: the first source has no towers; {REMEDY}")
    return named


def _load_ranker(folder: Path, config: PipelineConfig, named: Mapping[str, SourceConfig]) -> Ranker:
    if config.ranker is None:
        raise ArtifactError(f"{folder}: the gate is open and the config has no ranker; {REMEDY}")
    name, source = next(iter(named.items()))
    labels = load_labels(folder / SOURCES / name, source.model)
    return ranker_kind(config.ranker).load(SavedRanker(folder / RANKER, config.ranker, config.pair_features, labels))
