"""A small run that expects ratings."""

import pytest

from belfry.dataset.sources.demo import generate
from belfry.pipeline.jobs.train import train_tables
from belfry.pipeline.serving.recommender import Recommender

QUICK = ("n_candidates=15", "sources=[]", "ranker=none", "retrieval.embedding_size=8", "retrieval.epochs=1")


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """Of a run whose towers have heads; its candidates are few."""
    published = train_tables(
        lambda: generate(n_users=80, n_items=60, n_watches=2_000, seed=1),
        preset="multitask",
        holdout="random",
        settings=[*QUICK, "retrieval.n_factors=2", 'sources=[{model={kind="popularity"}}]'],  # which takes a fold
        seed=0,
        artifacts=tmp_path_factory.mktemp("rated") / "artifacts",
    )
    return Recommender.load(published)
