"""The serving form of both stages: written after training, read to answer. Reading imports no TensorFlow."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from dataset.features import FeatureTables
from pipeline.config import PipelineConfig, SearchedConfig, SourceConfig, cold_weight_of
from pipeline.ranker_files import load_second_stage, save_second_stage
from pipeline.stages import Stages
from retrieval.base import Embeddings, Retriever, Towers
from retrieval.combined import Source, combine
from retrieval.index.choose import load_index
from retrieval.indexed import IndexedRetriever
from retrieval.popularity import Popularity
from retrieval.serving import load_retriever, load_towers

if TYPE_CHECKING:
    from pipeline.train import Trained

_SOURCES = TypeAdapter(dict[str, SourceConfig])


def save_serving(trained: "Trained", folder: Path) -> None:
    """ONNX graphs, vectors, index and arrays; data only, nothing in it can run code."""
    from pipeline.sources import save_serving_form

    first = trained.first
    folder.mkdir()
    for name, source in first.sources.items():
        save_serving_form(source, folder / "sources" / name, first.features)
    weighed = {
        name: source.model_copy(update={"weight": first.tuning.weights[name]})
        for name, source in trained.config.named_sources.items()
    }
    (folder / "sources.json").write_bytes(_SOURCES.dump_json(weighed, indent=2))
    first.popularity.save(folder / "popularity")
    save_second_stage(trained, folder / "ranker")


def load_serving(folder: Path, features: FeatureTables, config: PipelineConfig, *, gate_is_open: bool) -> Stages:
    """What `save_serving` wrote, put together; without an open gate the ranker stays out."""
    named = _SOURCES.validate_json((folder / "sources.json").read_bytes())
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
    return Stages(
        features=features,
        towers=first_towers,
        vectors=first_vectors,
        retriever=combine(sources),
        popularity=popularity,
        cold_weight=cold_weight_of(config),
        ranker=ranker,
        n_candidates=config.n_candidates,
    )
