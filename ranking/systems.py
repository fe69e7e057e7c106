"""The ranker of each config, in training form and untrained."""

from ranking.base import EventRanker, ListRanker
from ranking.bayesian import BayesianFactorisation
from ranking.boosted import LightGbmRanker
from ranking.config import LightGbmRankerConfig, ListConfig
from ranking.deep import DeepRanker
from ranking.rating_config import BayesianFactorisationConfig, RatingConfig
from ranking.regressor import RatingRegressor


def make_list_ranker(config: ListConfig) -> ListRanker:
    """One that learns from candidate lists."""
    return LightGbmRanker(config) if isinstance(config, LightGbmRankerConfig) else DeepRanker(config)


def make_event_ranker(config: RatingConfig) -> EventRanker:
    """One that learns from the events of a history."""
    if isinstance(config, BayesianFactorisationConfig):
        return BayesianFactorisation(config)
    return RatingRegressor(config)
