"""BayesianFactorisation: ratings as the posterior mean of a factorisation, by Gibbs sampling."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from belfry.dataset.arrays import dot_products
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.layers.model import ArrayModel, Progress, no_progress
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.ranking.base import Scores
from belfry.ranking.ratings.config import BayesianFactorisationConfig
from belfry.ranking.ratings.gibbs_sampler import FactorSampler, NoiseSampler, PerPair
from belfry.ranking.ratings.posterior_mean import PosteriorMean, VarianceOfUsers
from belfry.ranking.ratings.rated_pairs import RatedPairs, SideInputs, Table, check_ratings

_DEVIATION = "user_deviation"


class BayesianFactorisation(ArrayModel[BayesianFactorisationConfig]):
    """rating_ui = mean + p_u . q_i + b_u + b_i + noise, with Student-t noise of one scale per user.

    The prior mean of [p_u, b_u] is linear in the user's side inputs: features, and which items were watched. So a user
    without ratings is answered too, and a watch without a rating counts. The same holds for [q_i, b_i]. A user with
    noisy ratings counts less. `belfry.ranking.ratings.gibbs_sampler` has the model and its conditional posteriors.

    The prediction is the mean over `sweeps` samples, clipped to the range of the ratings learned from, and kept as one
    pair of factor tables of `rank` columns: what is saved is the serving form too, and a rating costs one dot product.
    Features are read in `fit` alone. Where all ratings are equal, that rating is predicted for every pair.

    How far a user's ratings lie from that is the root of the mean over the samples of their noise 1 / (a t_u), and of
    the variance between samples of what is predicted of the pairs they have rated; of a user without ratings, that of
    the others on average.

    Sources: Salakhutdinov and Mnih, Bayesian probabilistic matrix factorization using Markov chain Monte Carlo, ICML
    2008; means linear in features: Simm et al., Macau: Scalable Bayesian factorization with high-dimensional side
    information using MCMC, MLSP 2017; what was watched as a feature: Koren, Factorization meets the neighborhood, KDD
    2008, and Rendle, Zhang and Koren, On the difficulty of evaluating baselines, 2019; noise of each user:
    Lakshminarayanan, Bouchard and Archambeau, Robust Bayesian matrix factorisation, AISTATS 2011.
    """

    config_type = BayesianFactorisationConfig
    array_forms: ClassVar[ArrayForms] = {
        "users": numbers("n_users + 1", "rank"),
        "items": numbers("n_items + 1", "rank"),
        "scale": numbers(3),
        _DEVIATION: numbers("n_users + 1"),
    }

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a history without ratings."""
        check_ratings(history, self.config.kind)

    def fit(
        self, history: Interactions, features: FeatureTables, *, seed: int, progress: Progress = no_progress
    ) -> Self:
        """Sample from scratch and return itself.

        Args:
            history: watches and ratings; `features` belong to the same time.
            progress: told of (sweeps done, sweeps in all).

        Raises:
            InputError: there are no ratings.
            DivergenceError: a feature is not finite.
        """
        self.check(history, features)
        pairs = RatedPairs.of(history)
        factors = np.zeros((len(history.users) + 1, 0)), np.zeros((len(history.items) + 1, 0))
        variance = np.zeros(len(history.users) + 1)
        if pairs.spread:
            *both, variance = self._mean_factors(pairs, features, np.random.default_rng(seed), progress)
            factors = both[0], both[1]
        users, items = ((factor * np.sqrt(pairs.spread or 1)).astype(np.float32) for factor in factors)
        scale = np.array([pairs.centre, pairs.lowest, pairs.highest], np.float32)
        deviation = np.sqrt(variance * pairs.spread).astype(np.float32)
        self._learned = {"users": users, "items": items, "scale": scale, _DEVIATION: deviation}
        return self

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 expected ratings, on the scale of the data."""
        arrays = self.learned
        centre, lowest, highest = arrays["scale"]
        ratings = dot_products(arrays["users"], candidates.user_num, arrays["items"], candidates.item_num)
        return np.asarray(np.clip(ratings + centre, lowest, highest))

    def deviations(self, candidates: Candidates) -> Scores:
        """[n_rows] float32 standard deviation of each rating from what is expected: one for each user."""
        return np.asarray(self.learned[_DEVIATION][candidates.user_num])

    def export(self, directory: Path) -> None:
        """What `save` writes is the serving form too."""
        self.save(directory)

    def _mean_factors(
        self,
        pairs: RatedPairs,
        features: FeatureTables,
        generator: np.random.Generator,
        progress: Progress,
    ) -> tuple[Table, Table, PerPair]:
        """[n_users + 1, rank] and [n_items + 1, rank] tables, whose product is the posterior mean; and [n_users + 1]
        the variance of ratings around it. All are standardised.
        """
        config = self.config
        side_inputs = SideInputs.of(
            features,
            max_categories=config.max_categories,
            n_vectors=config.watch_vectors,
            seed=int(generator.integers(1 << 32)),
        )
        users = FactorSampler(pairs.user_num, pairs.item_num, side_inputs.users, config.embedding_size, generator)
        items = FactorSampler(pairs.item_num, pairs.user_num, side_inputs.items, config.embedding_size, generator)
        noise = NoiseSampler(pairs.user_num, len(features.history.users) + 1, freedom=config.noise_freedom)
        targets = pairs.standard
        mean, around = PosteriorMean(config.rank), VarianceOfUsers(pairs.user_num, len(features.history.users) + 1)
        n_sweeps = config.warm_up + config.sweeps
        for sweep in range(n_sweeps):
            left, right = _product_form(users.factors, items.factors)
            fitted = np.einsum("rk,rk->r", left[pairs.user_num], right[pairs.item_num])
            precision = noise.sample(targets - fitted, generator)
            if sweep > config.warm_up:
                around.add(fitted, noise.variance)
            users.sample(targets, precision, items, generator)
            items.sample(targets, precision, users, generator)
            if sweep >= config.warm_up:
                mean.add(*_product_form(users.factors, items.factors))
            progress(sweep + 1, n_sweeps)
        return *mean.factors(), around.variance()


def _product_form(users: Table, items: Table) -> tuple[Table, Table]:
    """Tables of rows [p_u, b_u, 1] and [q_i, 1, b_i], of tables of rows [p_u, b_u] and [q_i, b_i]."""
    ones = [np.ones((len(table), 1)) for table in (users, items)]
    return np.hstack([users, ones[0]]), np.hstack([items[:, :-1], ones[1], items[:, -1:]])
