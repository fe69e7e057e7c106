"""The trainer of each family of rankers."""

from collections.abc import Callable, Mapping

from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import ranker_kind
from belfry.pipeline.progress import Progress
from belfry.pipeline.training.list_trainer import ListRankerTrainer
from belfry.pipeline.training.ranker_trainer import NoRankerTrainer, RankerTrainer
from belfry.pipeline.training.rating_trainer import RatingRankerTrainer
from belfry.ranking.registry import Family

TRAINERS: Mapping[Family, Callable[..., RankerTrainer]] = {
    "listwise": ListRankerTrainer,
    "ratings": RatingRankerTrainer,
}


def make_trainer(data: Data, config: PipelineConfig, *, seed: int, progress: Progress) -> RankerTrainer:
    """The trainer that a config's ranker needs.

    Raises:
        InputError: the data lack what the ranker learns from, or a library that it needs is not installed.
    """
    if config.ranker is None:
        return NoRankerTrainer()
    return TRAINERS[ranker_kind(config.ranker).family](data, config, seed=seed, progress=progress)
