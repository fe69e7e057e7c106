"""The serving form of both stages: written after training, read to answer. Reading imports no TensorFlow."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dataset.features import FeatureTables
from pipeline.config import PipelineConfig
from pipeline.run_files import load_arrays
from pipeline.stages import Stages, first_stage
from ranking.featured import FeaturedRanker
from ranking.pair_features import PairFeatures
from ranking.serving import OnnxScorer
from retrieval.index.choose import load_index
from retrieval.popularity import Popularity
from retrieval.serving import load_towers

if TYPE_CHECKING:
    from pipeline.train import Trained


def save_serving(trained: "Trained", folder: Path) -> None:
    """ONNX graphs, vectors, index and arrays; data only, nothing in it can run code."""
    stages = trained.stages
    folder.mkdir()
    trained.first.towers.export(folder, stages.features)
    np.save(folder / "vectors.npy", stages.vectors)
    trained.first.index.save(folder / "index")
    trained.first.popularity.save(folder / "popularity")
    if trained.ranker and trained.pair_features:
        np.savez(folder / "pair_features.npz", **trained.pair_features.arrays)  # type: ignore[arg-type]  # the stub takes one for allow_pickle
        trained.ranker.export(folder / "ranker.onnx")


def load_serving(folder: Path, features: FeatureTables, config: PipelineConfig, *, gate_is_open: bool) -> Stages:
    """What `save_serving` wrote, put together; without an open gate the ranker stays out."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    towers = load_towers(folder, config.retrieval, vectors)
    popularity = Popularity.load(folder / "popularity")
    ranker = None
    if gate_is_open:
        pair_features = PairFeatures(config.pair_features, load_arrays(folder / "pair_features.npz"))
        ranker = FeaturedRanker(pair_features, OnnxScorer(folder / "ranker.onnx"))
    return Stages(
        features=features,
        towers=towers,
        vectors=vectors,
        retriever=first_stage(
            towers, load_index(folder / "index"), vectors, popularity, features, n_popular=config.n_popular
        ),
        popularity=popularity,
        ranker=ranker,
        n_candidates=config.n_candidates,
    )
