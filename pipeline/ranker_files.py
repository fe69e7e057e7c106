"""The second stage as files of a run: pair features, the scorer's own, and what is made of its scores."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.run_files import load_arrays
from ranking.base import Ranker
from ranking.featured import FeaturedRanker
from ranking.multitask_config import MultitaskConfig, MultitaskRankerConfig
from ranking.multitask_serving import OnnxMultitask
from ranking.opinion import Opinion
from ranking.pair_features import PairFeatures
from ranking.serving import load_scorer

if TYPE_CHECKING:
    from pipeline.second_stage import SecondStage

_FEATURES, _OPINION = "pair_features.npz", "opinion.json"


def save_second_stage(second: "SecondStage", pair_features: PairFeatures, folder: Path) -> None:
    """The serving form: a graph or trees, arrays, and a few numbers."""
    folder.mkdir()
    np.savez(folder / _FEATURES, **pair_features.arrays)  # type: ignore[arg-type]  # the stub takes one for allow_pickle
    second.ranker.export(folder)
    (folder / _OPINION).write_text(json.dumps({"names": second.names, **asdict(second.opinion)}, indent=2))


def load_second_stage(folder: Path, config: PipelineConfig) -> Ranker:
    """What `save_second_stage` wrote, or the first source where it has heads, of a run with this config."""
    if isinstance(config.ranker, MultitaskRankerConfig):
        assert isinstance(config.retrieval, MultitaskConfig)  # the config was checked
        return OnnxMultitask(folder, config.retrieval)
    assert config.ranker is not None  # else nothing was saved
    saved = json.loads((folder / _OPINION).read_text())
    names = tuple(saved.pop("names"))
    pair_features = PairFeatures(config.pair_features, load_arrays(folder / _FEATURES))
    return FeaturedRanker(pair_features, load_scorer(folder, config.ranker), Opinion(**saved), names)
