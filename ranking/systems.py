"""The ranker of each config, in training form."""

from ranking.base import ListRanker
from ranking.boosted import LightGbmRanker
from ranking.config import LightGbmRankerConfig, ListConfig
from ranking.deep import DeepRanker


def make_list_ranker(config: ListConfig) -> ListRanker:
    """Untrained."""
    return LightGbmRanker(config) if isinstance(config, LightGbmRankerConfig) else DeepRanker(config)
