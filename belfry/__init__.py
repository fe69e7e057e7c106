"""Two-stage recommender: two towers find candidates, a deep ranker orders them.

`Recommender` and `recommend` answer from a published run, `train` publishes one, `update` takes in what came since,
`compare` judges runs and tables.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from belfry.pipeline.jobs.compare import compare as compare
    from belfry.pipeline.jobs.train import train as train
    from belfry.pipeline.jobs.updating.update import update as update
    from belfry.pipeline.serving.current import recommend as recommend
    from belfry.pipeline.serving.recommender import Recommender as Recommender
    from belfry.pipeline.serving.results import Explanation as Explanation
    from belfry.pipeline.serving.results import Recommendation as Recommendation
    from belfry.pipeline.serving.results import RecommendationTable as RecommendationTable
    from belfry.pipeline.serving.results import SimilarItem as SimilarItem
    from belfry.pipeline.serving.results import SimilarUser as SimilarUser
    from belfry.pipeline.serving.rules.config import Rules as Rules

_HOMES = {
    "compare": "belfry.pipeline.jobs.compare",
    "train": "belfry.pipeline.jobs.train",
    "update": "belfry.pipeline.jobs.updating.update",
    "Recommender": "belfry.pipeline.serving.recommender",
    "recommend": "belfry.pipeline.serving.current",
    "Explanation": "belfry.pipeline.serving.results",
    "Recommendation": "belfry.pipeline.serving.results",
    "RecommendationTable": "belfry.pipeline.serving.results",
    "SimilarItem": "belfry.pipeline.serving.results",
    "SimilarUser": "belfry.pipeline.serving.results",
    "Rules": "belfry.pipeline.serving.rules.config",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Load on first use: `belfry --help` must not wait for what it does not need."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'belfry' has no attribute {name!r}")
