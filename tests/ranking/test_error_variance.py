"""ErrorVariance: its terms, its weights out of errors, and its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.ranking.base import Matrix
from belfry.ranking.error_variance import ErrorVariance, KnownRatings, learned_weights
from tests.contracts.checkerboard import features_of

N_USERS, N_ITEMS = 200, 80
LENGTHS = {"n_users": N_USERS, "n_items": N_ITEMS}


def rated(seed: int = 0) -> Interactions:
    """The first half of the users rates at random, the other one steadily; the later a user or an item, the rarer."""
    generator = np.random.default_rng(seed)
    users, items = np.meshgrid(np.arange(1, N_USERS + 1), np.arange(1, N_ITEMS + 1), indexing="ij")
    is_rated = generator.random(users.shape) < 0.9 * (1 - items / N_ITEMS) * (1 - (users % 10) / 10)
    user, item = users[is_rated].astype(np.int32), items[is_rated].astype(np.int32)
    rating = 3 + np.where(user <= N_USERS // 2, 1.5, 0.3) * generator.choice([-1, 1], len(user))
    vocabularies = Vocabulary(pa.array(range(N_USERS))), Vocabulary(pa.array(range(N_ITEMS)))
    return Interactions(*vocabularies, user, item, rating=rating.astype(np.float32))


HISTORY = rated()
KNOWN = KnownRatings.of(HISTORY)


def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of all users and items, the unknown ones too."""
    generator = np.random.default_rng(1)
    return generator.integers(0, N_USERS + 1, n), generator.integers(0, N_ITEMS + 1, n)


def test_terms_worked_by_hand() -> None:
    history = replace(
        HISTORY,
        user_num=np.array([1, 1, 2], np.int32),
        item_num=np.array([1, 2, 1], np.int32),
        rating=np.array([1, 5, np.nan], np.float32),
    )
    known = KnownRatings.of(history)  # each item has the bias -2/6 or 2/6, the user then none: residuals of 5/3
    assert known.spread == pytest.approx(4)
    assert known.residual == pytest.approx(25 / 9)
    np.testing.assert_allclose(known.user_variance[:3], 25 / 9)
    np.testing.assert_allclose(known.user_share[:3], [1, 1 / 3, 1])
    np.testing.assert_allclose(known.item_share[:4], [1, 1 / 2, 1 / 2, 1])


def test_steady_users_have_a_small_variance_and_the_unknown_everybody_s() -> None:
    wild, steady = KNOWN.user_variance[1 : N_USERS // 2], KNOWN.user_variance[N_USERS // 2 + 1 :]
    assert wild.mean() > 2 * steady.mean()
    assert KNOWN.user_variance[0] == pytest.approx(KNOWN.residual)


def test_weights_are_found_again() -> None:
    wanted = np.array([1.2, 2.0, 3.0])
    users, items = drawn(100_000)
    deviations = ErrorVariance.of(wanted, KNOWN).deviations(users, items)
    errors = deviations * np.random.default_rng(2).normal(size=len(users))
    found = KNOWN.weights(errors, users, items)
    np.testing.assert_allclose(found, wanted, rtol=0.1)
    told = ErrorVariance.of(found, KNOWN).deviations(users, items)
    assert told.dtype == np.float32
    assert np.mean(np.abs(errors) < told) == pytest.approx(0.683, abs=0.01)
    assert np.mean(np.abs(errors) < 2 * told) == pytest.approx(0.954, abs=0.01)


def test_no_weight_is_below_0() -> None:
    """Errors that are larger where more is known."""
    users, items = drawn(10_000)
    errors = 2 - KNOWN.user_share[users] - KNOWN.item_share[items]
    assert KNOWN.weights(errors, users, items).min() >= 0


def test_without_errors_to_learn_from_ratings_are_as_sure_as_the_mean_is() -> None:
    none = np.zeros(0, np.int32)
    variance = ErrorVariance.of(KNOWN.weights(np.zeros(0), none, none), KNOWN)
    assert variance.deviations(np.zeros(1, np.int32), np.zeros(1, np.int32))[0] ** 2 == pytest.approx(KNOWN.spread)


def test_another_scale_of_ratings_gives_the_same_on_that_scale() -> None:
    users, items = drawn(50)
    errors = np.random.default_rng(3).normal(size=50)
    larger = KnownRatings.of(replace(HISTORY, rating=HISTORY.rating * 20))
    told = [
        ErrorVariance.of(known.weights(errors * scale, users, items), known)
        for known, scale in ((KNOWN, 1), (larger, 20))
    ]
    np.testing.assert_allclose(told[1].deviations(users, items), 20 * told[0].deviations(users, items), rtol=1e-4)


def test_equal_ratings_are_told_without_a_deviation() -> None:
    known = KnownRatings.of(replace(HISTORY, rating=np.full(len(HISTORY), 4, np.float32)))
    users, items = drawn(50)
    variance = ErrorVariance.of(known.weights(np.zeros(50), users, items), known)
    np.testing.assert_array_equal(variance.deviations(users, items), 0)


class Three:
    """Expects 3 of every pair, and 0 of another label; keeps what it was asked."""

    label_names = ("finished", "rating")

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        self.asked = set(zip(candidates.user_num.tolist(), candidates.item_num.tolist(), strict=True))
        return np.stack([np.zeros(len(candidates)), np.full(len(candidates), 3)], axis=1).astype(np.float32)


def test_learns_from_new_rated_pairs_alone() -> None:
    features, labels = features_of(HISTORY), Three()
    known = (HISTORY.user_num[0], HISTORY.item_num[0])
    later = replace(
        HISTORY,
        user_num=np.array([known[0], 5, 2, 7], np.int32),
        item_num=np.array([known[1], N_ITEMS, N_ITEMS, N_ITEMS], np.int32),
        rating=np.array([1, 4, 5, np.nan], np.float32),
    )
    found = learned_weights(labels, features, later)
    assert labels.asked == {(2, N_ITEMS), (5, N_ITEMS)}
    wanted = KNOWN.weights(np.array([-2, -1]), np.array([2, 5]), np.array([N_ITEMS, N_ITEMS]))
    np.testing.assert_array_equal(found, wanted)
    for nothing in (later.select([0, 3]), replace(later, rating=None)):
        none = np.zeros(0, np.int32)
        np.testing.assert_array_equal(
            learned_weights(Three(), features, nothing), KNOWN.weights(np.zeros(0), none, none)
        )


def test_save_and_load_keep_it(tmp_path: Path) -> None:
    variance = ErrorVariance.of(np.array([1.0, 2.0, 3.0]), KNOWN)
    variance.save(tmp_path)
    loaded = ErrorVariance.load(tmp_path, LENGTHS)
    users, items = drawn(50)
    np.testing.assert_array_equal(loaded.deviations(users, items), variance.deviations(users, items))
    np.testing.assert_array_equal(loaded.weights, variance.weights)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("variance_weights", [1.0, 2.0], r"'variance_weights\.npy' holds float64 of the shape \(2,\)"),
        ("user_variance", np.ones(7), "is of 6 n_users, the run has 200"),
        ("item_variance", -np.ones(N_ITEMS + 1), r"'item_variance\.npy' holds numbers below 0"),
        ("item_variance", np.full(N_ITEMS + 1, np.nan), r"'item_variance\.npy' holds NaN"),
    ],
)
def test_files_of_another_form_are_refused(name: str, values: np.ndarray, message: str, tmp_path: Path) -> None:
    ErrorVariance.of(np.array([1.0, 2.0, 3.0]), KNOWN).save(tmp_path)
    np.save(tmp_path / f"{name}.npy", values)
    with pytest.raises(ArtifactError, match=message):
        ErrorVariance.load(tmp_path, LENGTHS)
