"""The way from data to lists. `from pipeline import Recommender, recommend` answers from a published run.

`compare` judges runs and tables.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.answers import Explanation, Recommendation, SimilarItem, SimilarUser
    from pipeline.comparison import compare
    from pipeline.recommender import Recommender, recommend

__all__ = ["Explanation", "Recommendation", "Recommender", "SimilarItem", "SimilarUser", "compare", "recommend"]


def __getattr__(name: str) -> object:
    """Load on first use: `belfry --help` must not wait for what it does not need."""
    if name == "compare":
        from pipeline import comparison

        return comparison.compare
    if name in __all__:
        from pipeline import recommender

        return getattr(recommender, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
