"""The second stage as files of a run: pair features, the scorer's own, and what is made of its scores."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from dataset.features import FeatureTables
from pipeline.config import PipelineConfig
from pipeline.run_files import load_arrays
from ranking.base import EventRanker, Ranker
from ranking.calibration import Calibration
from ranking.config import ListConfig
from ranking.featured import FeaturedRanker
from ranking.multitask_config import MultitaskConfig
from ranking.multitask_serving import OnnxMultitask
from ranking.opinion import Opinion
from ranking.pair_features import PairFeatures
from ranking.rating_config import RatingConfig
from ranking.rating_serving import load_rating_ranker
from ranking.serving import load_scorer
from ranking.utility import RatingLabels, UtilityRanker

if TYPE_CHECKING:
    from pipeline.second_stage import SecondStage
    from pipeline.train import Trained

_FEATURES, _OPINION, _UTILITY = "pair_features.npz", "opinion.json", "utility.json"


def save_second_stage(trained: "Trained", folder: Path) -> None:
    """The serving form; of heads, which are kept with their source, what is made of their labels."""
    if trained.second and isinstance(trained.ranker, FeaturedRanker):
        save_featured(trained.second, trained.ranker.pair_features, folder)
    elif isinstance(trained.ranker, UtilityRanker):
        folder.mkdir()
        saved = {"spreads": trained.ranker.spreads, **asdict(trained.ranker.calibration)}
        (folder / _UTILITY).write_text(json.dumps(saved, indent=2))
        if isinstance(trained.ranker.labels, RatingLabels):
            cast(EventRanker, trained.ranker.labels.ranker).export(folder, trained.first.features)


def save_featured(second: "SecondStage", pair_features: PairFeatures, folder: Path) -> None:
    """A graph or trees, arrays, and a few numbers."""
    folder.mkdir()
    np.savez(folder / _FEATURES, **pair_features.arrays)  # type: ignore[arg-type]  # the stub takes one for allow_pickle
    second.ranker.export(folder)
    opinion = second.opinion
    saved = {"names": second.names, "retrieval_weight": opinion.retrieval_weight, **asdict(opinion.calibration)}
    (folder / _OPINION).write_text(json.dumps(saved, indent=2))


def save_trained_ranker(trained: "Trained", folder: Path) -> None:
    """The training form, where there is one of its own."""
    if trained.second:
        trained.second.ranker.save(folder)
    elif isinstance(trained.ranker, UtilityRanker) and isinstance(trained.ranker.labels, RatingLabels):
        cast(EventRanker, trained.ranker.labels.ranker).save(folder)


def load_second_stage(folder: Path, source: Path, config: PipelineConfig, features: FeatureTables) -> Ranker:
    """What `save_second_stage` wrote for a run with this config; `source` is the folder of the first source."""
    if isinstance(config.ranker, ListConfig):
        return load_featured(folder, config)
    saved = json.loads((folder / _UTILITY).read_text())
    spreads, calibration = tuple(saved.pop("spreads")), Calibration(**saved)
    if isinstance(config.ranker, RatingConfig):
        rating = load_rating_ranker(folder, config.ranker, features)
        return UtilityRanker(RatingLabels(rating), (config.ranker.utility,), spreads, calibration)
    assert isinstance(config.retrieval, MultitaskConfig)  # the config was checked
    return UtilityRanker(OnnxMultitask(source, config.retrieval), config.retrieval.utilities, spreads, calibration)


def load_featured(folder: Path, config: PipelineConfig) -> FeaturedRanker:
    """What `save_featured` wrote."""
    assert isinstance(config.ranker, ListConfig)  # else nothing was saved
    saved = json.loads((folder / _OPINION).read_text())
    names, retrieval_weight = tuple(saved.pop("names")), saved.pop("retrieval_weight")
    opinion = Opinion(retrieval_weight, Calibration(**saved))
    pair_features = PairFeatures(config.pair_features, load_arrays(folder / _FEATURES))
    return FeaturedRanker(pair_features, load_scorer(folder, config.ranker), opinion, names)
