"""Training: what a budget of time leaves out."""

import logging

import pytest

from belfry.pipeline.config import load_config
from belfry.pipeline.training.train import train
from tests.pipeline.small_world import small_data

SETTINGS = [
    "n_candidates=12",
    "folds=2",
    "retrieval.kind=pure_svd",
    "retrieval.embedding_size=4",
    "ranker=none",
    'sources=[{model={kind="item_knn"}}, {model={kind="als", embedding_size=4}, optional=true, after="item_knn"}]',
]


@pytest.mark.parametrize(("budget_s", "is_tried"), [(None, True), (3600.0, True), (0.001, False)])
def test_dear_sources_are_tried_where_the_budget_allows_it(
    budget_s: float | None, is_tried: bool, caplog: pytest.LogCaptureFixture
) -> None:
    config = load_config("default", holdout="random", settings=SETTINGS)
    with caplog.at_level(logging.WARNING):
        trained = train(small_data(), config, holdout="random", seed=0, budget_s=budget_s)
    choice = trained.first.tuning.choice
    assert choice is not None
    assert ("als" in choice.alone) == is_tried
    assert ("dear sources are not tried" in caplog.text) == (not is_tried)
    if not is_tried:
        assert trained.left_out["als"] == "not tried, for want of time"
