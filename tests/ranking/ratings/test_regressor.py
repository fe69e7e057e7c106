"""RatingRegressor of all three kinds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import DivergenceError
from belfry.ranking.error_variance import ErrorVariance
from belfry.ranking.ratings.config import DeepRegressorConfig, DotRegressorConfig, HybridRegressorConfig
from belfry.ranking.ratings.regressor import RatingRegressor
from tests.contracts.checkerboard import features_of
from tests.contracts.ratings import EVERY_PAIR, FEATURES, HISTORY, RatingRankerPromises


class TestDotRegressorPromises(RatingRankerPromises):
    config = DotRegressorConfig(embedding_size=4, learning_rate=0.04, batch_size=128, epochs=40, patience=40)
    reads_features = False

    @classmethod
    def unfitted(cls) -> RatingRegressor:
        return RatingRegressor(cls.config)


class TestDeepRegressorPromises(TestDotRegressorPromises):
    config = DeepRegressorConfig(
        embedding_size=4, hidden=(16,), dropout=0.1, learning_rate=0.04, batch_size=128, epochs=40, patience=40
    )


class TestHybridRegressorPromises(TestDotRegressorPromises):
    config = HybridRegressorConfig(
        embedding_size=4,
        hidden=(16,),
        dropout=0.1,
        learning_rate=0.04,
        batch_size=128,
        epochs=40,
        patience=40,
        watch_vectors=4,
    )
    reads_features = True


@pytest.mark.parametrize(("loss", "expected"), [("absolute", 5.0), ("squared", 4.0)])
def test_absolute_loss_predicts_the_median_and_squared_loss_the_mean(loss: str, expected: float) -> None:
    """Of three fives and a one, whatever the pair, the median is 5 and the mean 4."""
    rating = np.where(np.arange(len(HISTORY)) % 4 == 0, 1, 5).astype(np.float32)
    history = replace(HISTORY, rating=rating)
    config = DeepRegressorConfig(
        loss=loss, embedding_size=1, hidden=(4,), dropout=0, learning_rate=0.01, batch_size=64, epochs=40, patience=40
    )
    ratings = RatingRegressor(config).fit(history, features_of(history), seed=0).score(EVERY_PAIR, FEATURES)
    assert np.median(ratings) == pytest.approx(expected, abs=0.4)


def test_deviations_are_fitted_to_the_ratings_held_back_and_exported(tmp_path: Path) -> None:
    """Noise of one deviation, which nothing explains."""
    noise = np.random.default_rng(0).normal(3, 1, len(HISTORY)).astype(np.float32)
    config = DotRegressorConfig(embedding_size=1, epochs=2, validation_share=0.5)
    ranker = RatingRegressor(config).fit(replace(HISTORY, rating=noise), FEATURES, seed=0)
    told = ranker.deviations(EVERY_PAIR)
    assert told.mean() == pytest.approx(1, abs=0.15)
    ranker.export(tmp_path)
    exported = ErrorVariance.load(tmp_path, {"n_users": len(HISTORY.users), "n_items": len(HISTORY.items)})
    np.testing.assert_array_equal(exported.deviations(EVERY_PAIR.user_num, EVERY_PAIR.item_num), told)


def test_divergence_says_to_lower_the_learning_rate() -> None:
    config = DotRegressorConfig(learning_rate=1e38, epochs=3)
    with pytest.raises(DivergenceError, match=r"dot_regressor: loss is .* lower its learning_rate"):
        RatingRegressor(config).fit(HISTORY, FEATURES, seed=0)
