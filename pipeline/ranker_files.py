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
from ranking.featured import FeaturedRanker
from ranking.multitask_config import MultitaskConfig, MultitaskRankerConfig
from ranking.multitask_serving import OnnxMultitask
from ranking.opinion import Opinion
from ranking.pair_features import PairFeatures
from ranking.rating_config import RatingConfig
from ranking.rating_serving import load_rating_ranker
from ranking.serving import load_scorer

if TYPE_CHECKING:
    from pipeline.train import Trained

_FEATURES, _OPINION = "pair_features.npz", "opinion.json"


def save_second_stage(trained: "Trained", folder: Path) -> None:
    """The serving form: a graph or trees, arrays, and a few numbers; heads are kept with their source."""
    ranker, second = trained.ranker, trained.second
    if second and isinstance(ranker, FeaturedRanker):
        folder.mkdir()
        np.savez(folder / _FEATURES, **ranker.pair_features.arrays)  # type: ignore[arg-type]  # the stub takes one for allow_pickle
        second.ranker.export(folder)
        (folder / _OPINION).write_text(json.dumps({"names": second.names, **asdict(second.opinion)}, indent=2))
    elif ranker and isinstance(trained.config.ranker, RatingConfig):
        cast(EventRanker, ranker).export(folder, trained.first.features)


def save_trained_ranker(trained: "Trained", folder: Path) -> None:
    """The training form, where there is one of its own."""
    if trained.second:
        trained.second.ranker.save(folder)
    elif trained.ranker and isinstance(trained.config.ranker, RatingConfig):
        cast(EventRanker, trained.ranker).save(folder)


def load_second_stage(folder: Path, config: PipelineConfig, features: FeatureTables) -> Ranker:
    """What `save_second_stage` wrote, or the first source where it has heads, of a run with this config."""
    if isinstance(config.ranker, MultitaskRankerConfig):
        assert isinstance(config.retrieval, MultitaskConfig)  # the config was checked
        return OnnxMultitask(folder, config.retrieval)
    assert config.ranker is not None  # else nothing was saved
    if isinstance(config.ranker, RatingConfig):
        return load_rating_ranker(folder, config.ranker, features)
    saved = json.loads((folder / _OPINION).read_text())
    names = tuple(saved.pop("names"))
    pair_features = PairFeatures(config.pair_features, load_arrays(folder / _FEATURES))
    return FeaturedRanker(pair_features, load_scorer(folder, config.ranker), Opinion(**saved), names)
