"""Both forms of the models, written into a run: the serving form to answer from, the training form to go on from."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from belfry.pipeline.serving.load import SOURCES
from belfry.pipeline.serving.ranker_files import FEATURES_FILE, SCORE_BLEND_FILE, UTILITY_FILE
from belfry.pipeline.training.sources import save_serving_form
from belfry.ranking.base import EventRanker
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.listwise.feature_ranker import FeaturedRanker
from belfry.ranking.utility import RatingLabels, UtilityRanker

if TYPE_CHECKING:
    from belfry.pipeline.training.ranker_stage import SecondStage
    from belfry.pipeline.training.train import Trained


def save_serving(trained: "Trained", folder: Path) -> None:
    """ONNX graphs, vectors, index and arrays; data only, nothing in it can run code."""
    first = trained.first
    folder.mkdir()
    for name, source in first.sources.items():
        save_serving_form(source, folder / "sources" / name, first.features)
    weighed = {
        name: source.model_copy(update={"weight": first.tuning.weights[name]})
        for name, source in trained.config.named_sources.items()
    }
    (folder / "sources.json").write_bytes(SOURCES.dump_json(weighed, indent=2))
    first.popularity.save(folder / "popularity")
    save_second_stage(trained, folder / "ranker")


def save_second_stage(trained: "Trained", folder: Path) -> None:
    """The serving form; of heads, which are kept with their source, what is made of their labels."""
    if trained.second and isinstance(trained.ranker, FeaturedRanker):
        save_featured(trained.second, trained.ranker.pair_features, folder)
    elif isinstance(trained.ranker, UtilityRanker):
        folder.mkdir()
        saved = {"spreads": trained.ranker.spreads, **asdict(trained.ranker.calibration)}
        (folder / UTILITY_FILE).write_text(json.dumps(saved, indent=2))
        if isinstance(trained.ranker.labels, RatingLabels):
            cast(EventRanker, trained.ranker.labels.ranker).export(folder, trained.first.features)


def save_featured(second: "SecondStage", pair_features: PairFeatures, folder: Path) -> None:
    """A graph or trees, arrays, and a few numbers."""
    folder.mkdir()
    np.savez(folder / FEATURES_FILE, **pair_features.arrays)  # type: ignore[arg-type]  # the stub takes one for allow_pickle
    second.ranker.export(folder)
    opinion = second.opinion
    saved = {"names": second.names, "retrieval_weight": opinion.retrieval_weight, **asdict(opinion.calibration)}
    (folder / SCORE_BLEND_FILE).write_text(json.dumps(saved, indent=2))


def save_trained_ranker(trained: "Trained", folder: Path) -> None:
    """The training form, where there is one of its own."""
    if trained.second:
        trained.second.ranker.save(folder)
    elif isinstance(trained.ranker, UtilityRanker) and isinstance(trained.ranker.labels, RatingLabels):
        cast(EventRanker, trained.ranker.labels.ranker).save(folder)
