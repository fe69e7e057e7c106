"""The ranker of each config, in training form and untrained."""

from belfry.ranking.base import EventRanker, ListRanker
from belfry.ranking.listwise.boosted import LightGbmRanker
from belfry.ranking.listwise.config import LightGbmRankerConfig, ListConfig
from belfry.ranking.listwise.deep import DeepRanker
from belfry.ranking.ratings.bayesian import BayesianFactorisation
from belfry.ranking.ratings.config import BayesianFactorisationConfig, RatingConfig
from belfry.ranking.ratings.regressor import RatingRegressor


def make_list_ranker(config: ListConfig) -> ListRanker:
    """One that learns from candidate lists."""
    return LightGbmRanker(config) if isinstance(config, LightGbmRankerConfig) else DeepRanker(config)


def make_event_ranker(config: RatingConfig) -> EventRanker:
    """One that learns from the events of a history."""
    if isinstance(config, BayesianFactorisationConfig):
        return BayesianFactorisation(config)
    return RatingRegressor(config)
