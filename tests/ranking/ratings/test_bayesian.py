"""BayesianFactorisation beside the promises: its samplers against known distributions, and the low-rank mean."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import take_top_k
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.ranking.ratings.bayesian import BayesianFactorisation
from belfry.ranking.ratings.config import BayesianFactorisationConfig
from belfry.ranking.ratings.gibbs_sampler import FactorSampler, NoiseSampler
from belfry.ranking.ratings.posterior_mean import PosteriorMean, VarianceOfUsers
from tests.contracts.ratings import RatingRankerPromises

TINY = BayesianFactorisationConfig(embedding_size=2, watch_vectors=4, warm_up=20, sweeps=40, rank=16)


class TestBayesianFactorisationPromises(RatingRankerPromises):
    serving_form = BayesianFactorisation.load

    @classmethod
    def unfitted(cls) -> BayesianFactorisation:
        return BayesianFactorisation(TINY)


def test_the_posterior_mean_is_the_best_of_its_rank() -> None:
    generator = np.random.default_rng(0)
    samples = [(generator.normal(size=(30, 2)), generator.normal(size=(20, 2))) for _ in range(60)]
    mean = np.mean([left @ right.T for left, right in samples], axis=0)
    for rank, max_error in ((20, 1e-10), (5, np.linalg.svd(mean)[1][5:].sum())):
        product = PosteriorMean(rank)
        for left, right in samples:
            product.add(left, right)
        left, right = product.factors()
        assert left.shape[1] == right.shape[1] == rank
        assert np.linalg.norm(left @ right.T - mean, 2) <= max_error


def test_factors_are_sampled_from_their_posterior() -> None:
    """Mean and covariance of many samples of a user, against the closed form of Bayesian linear regression."""
    generator = np.random.default_rng(0)
    users, items = np.zeros(6, np.int32), np.arange(6, dtype=np.int32)
    targets, precision = generator.normal(size=6), generator.uniform(0.5, 2, 6)
    other = FactorSampler(items, users, (np.zeros((6, 0)),), 1, generator)
    other.factors = generator.normal(size=(6, 2))
    side = FactorSampler(users, items, (np.zeros((1, 0)),), 1, generator)
    prior = side._precision.copy()
    drawn = np.empty((20_000, 2))
    for number in range(len(drawn)):
        side._sample_factors(targets - other.factors[:, -1], precision, other, generator)
        drawn[number] = side.factors[0]
    design = np.column_stack([other.factors[:, 0], np.ones(6)])
    covariance = np.linalg.inv(prior + design.T @ (precision[:, None] * design))
    mean = covariance @ design.T @ (precision * (targets - other.factors[:, -1]))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=4 * np.sqrt(covariance.max() / len(drawn)))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, rtol=0.05, atol=2e-3)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(rows_per_block: int) -> np.ndarray:
        monkeypatch.setattr("belfry.ranking.ratings.gibbs_sampler._ROWS_PER_BLOCK", rows_per_block)
        generator = np.random.default_rng(0)
        users, items = np.array([3, 1, 3, 0, 2], np.int32), np.array([0, 1, 2, 2, 0], np.int32)
        sides = (
            FactorSampler(users, items, (np.eye(5),), 2, generator),
            FactorSampler(items, users, (np.eye(3),), 2, generator),
        )
        sides[0].sample(np.arange(5.0), np.ones(5), sides[1], generator)
        return sides[0].factors

    np.testing.assert_allclose(drawn(2), drawn(100))


def test_noise_is_estimated_for_each_user() -> None:
    generator = np.random.default_rng(0)
    users = np.repeat(np.arange(3, dtype=np.int32), 500)
    errors = generator.normal(size=1500) * np.array([0.5, 1, 2])[users]
    noise = NoiseSampler(users, 3, freedom=5)
    deviation = np.mean([1 / np.sqrt(noise.sample(errors, generator)[::500]) for _ in range(200)], axis=0)
    np.testing.assert_allclose(deviation, [0.5, 1, 2], rtol=0.1)


def test_what_lies_around_the_mean_is_noise_and_what_samples_differ_by() -> None:
    """Users 1 (of two pairs) and 3; two samples. User 2 has rated nothing, and is as the others on average."""
    around = VarianceOfUsers(np.array([1, 1, 3], np.int32), 4)
    around.add(np.array([1.0, 2.0, 0.0]), np.array([9.0, 1.0, 9.0, 2.0]))
    around.add(np.array([3.0, 2.0, 0.0]), np.array([9.0, 3.0, 9.0, 4.0]))
    np.testing.assert_allclose(around.variance(), [2.75, 2 + 0.5, 2.75, 3.0])


def test_deviations_are_those_of_the_ratings(tmp_path: Path) -> None:
    """Noise of 0.3 for even users and 0.9 for odd ones, around one taste that all share."""
    generator = np.random.default_rng(0)
    n_users, n_items = 60, 40
    users, items = Vocabulary(pa.array(range(1, n_users + 1))), Vocabulary(pa.array(range(1, n_items + 1)))
    user, item = (one.ravel().astype(np.int32) for one in np.indices((n_users, n_items)) + 1)
    noise = np.where(np.arange(n_users + 1) % 2, 0.9, 0.3)
    rating = (3 + np.sin(item) + generator.normal(size=len(user)) * noise[user]).astype(np.float32)
    is_kept = generator.random(len(user)) < 0.7
    kept, left = (Interactions(users, items, user, item, rating=rating).select(part) for part in (is_kept, ~is_kept))
    features = FeatureTables(kept, FeatureColumns(), FeatureColumns())
    model = BayesianFactorisation(TINY.model_copy(update={"sweeps": 100})).fit(kept, features, seed=0)
    everybody, score = np.arange(n_users + 1, dtype=np.int32), np.zeros(len(left), np.float32)
    asked = take_top_k(everybody, left.user_num.astype(np.int64), left.item_num, score, top_k=n_items, origin="x")
    deviation = model.deviations(asked)
    of_even = deviation[asked.user_num % 2 == 0]
    assert 0.25 < of_even.mean() < 0.45
    assert 0.75 < deviation[asked.user_num % 2 == 1].mean() < 1.05
    model.save(tmp_path / "model")
    assert BayesianFactorisation.load(tmp_path / "model").deviations(asked).tolist() == deviation.tolist()
    np.save(tmp_path / "model" / "user_deviation.npy", deviation[:3])
    with pytest.raises(ArtifactError, match=r"'user_deviation' holds float32 of the shape \(3,\), wanted"):
        BayesianFactorisation.load(tmp_path / "model")
