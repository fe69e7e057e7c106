"""The second stage as files of a run: pair features, the scorer's own, and what is made of its scores."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from belfry.dataset.features import FeatureTables
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.runs.tables import load_arrays
from belfry.ranking.base import Ranker
from belfry.ranking.calibration import Calibration
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.listwise.config import ListConfig
from belfry.ranking.listwise.feature_ranker import FeaturedRanker
from belfry.ranking.listwise.score_blend import ScoreBlend
from belfry.ranking.listwise.serving import load_scorer
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.serving import OnnxMultitask
from belfry.ranking.ratings.config import RatingConfig
from belfry.ranking.ratings.serving import load_rating_ranker
from belfry.ranking.utility import RatingLabels, UtilityRanker

if TYPE_CHECKING:
    pass

FEATURES_FILE, SCORE_BLEND_FILE, UTILITY_FILE = "pair_features.npz", "score_blend.json", "utility.json"


def load_second_stage(folder: Path, source: Path, config: PipelineConfig, features: FeatureTables) -> Ranker:
    """What `save_second_stage` wrote for a run with this config; `source` is the folder of the first source."""
    if isinstance(config.ranker, ListConfig):
        return load_featured(folder, config)
    saved = json.loads((folder / UTILITY_FILE).read_text())
    spreads, calibration = tuple(saved.pop("spreads")), Calibration(**saved)
    if isinstance(config.ranker, RatingConfig):
        rating = load_rating_ranker(folder, config.ranker, features)
        return UtilityRanker(RatingLabels(rating), (config.ranker.utility,), spreads, calibration)
    assert isinstance(config.retrieval, MultitaskConfig)  # the config was checked
    return UtilityRanker(OnnxMultitask(source, config.retrieval), config.retrieval.utilities, spreads, calibration)


def load_featured(folder: Path, config: PipelineConfig) -> FeaturedRanker:
    """What `save_featured` wrote."""
    assert isinstance(config.ranker, ListConfig)  # else nothing was saved
    saved = json.loads((folder / SCORE_BLEND_FILE).read_text())
    names, retrieval_weight = tuple(saved.pop("names")), saved.pop("retrieval_weight")
    opinion = ScoreBlend(retrieval_weight, Calibration(**saved))
    pair_features = PairFeatures(config.pair_features, load_arrays(folder / FEATURES_FILE))
    return FeaturedRanker(pair_features, load_scorer(folder, config.ranker), opinion, names)
