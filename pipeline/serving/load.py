"""The serving form of both stages: written after training, read to answer. Reading imports no TensorFlow."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from belfry.dataset.features import FeatureTables
from belfry.pipeline.config import PipelineConfig, SearchedConfig, SourceConfig, cold_weight_of
from belfry.pipeline.serving.ranker_files import load_second_stage
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.retrieval.base import Embeddings, Retriever, Towers
from belfry.retrieval.blend import Source, combine
from belfry.retrieval.index.choose import load_index
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.onnx_towers import load_retriever, load_towers
from belfry.retrieval.popularity import Popularity

if TYPE_CHECKING:
    pass

SOURCES = TypeAdapter(dict[str, SourceConfig])


def load_serving(folder: Path, features: FeatureTables, config: PipelineConfig, *, gate_is_open: bool) -> TwoStage:
    """What `save_serving` wrote, put together; without an open gate the ranker stays out."""
    named = SOURCES.validate_json((folder / "sources.json").read_bytes())
    sources: list[Source] = []
    searched: list[tuple[Towers, Embeddings]] = []
    for name, source in named.items():
        place = folder / "sources" / name
        retriever: Retriever
        if isinstance(source.model, SearchedConfig):
            vectors = np.load(place / "vectors.npy", mmap_mode="r")
            towers = load_towers(place, source.model, vectors)
            searched.append((towers, vectors))
            retriever = IndexedRetriever(towers, load_index(place / "index"), name)
        else:
            retriever = load_retriever(place, source.model)
        assert source.weight is not None  # `save_serving` wrote what was learned
        sources.append(Source(name, retriever, source.quota, source.weight))
    first_towers, first_vectors = searched[0]
    popularity = Popularity.load(folder / "popularity")
    ranker = None
    if gate_is_open:
        first = folder / "sources" / next(iter(named))
        ranker = load_second_stage(folder / "ranker", first, config, features)
    return TwoStage(
        features=features,
        towers=first_towers,
        vectors=first_vectors,
        retriever=combine(sources),
        popularity=popularity,
        cold_weight=cold_weight_of(config),
        ranker=ranker,
        n_candidates=config.n_candidates,
    )
