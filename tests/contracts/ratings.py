"""What every ranker that learns ratings promises. A new one adds a subclass named Test...."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers, Vocabulary
from belfry.ranking.ratings.serving import OnnxRegressor
from tests.contracts.checkerboard import features_of

N_USERS, N_ITEMS = 40, 30  # that have ratings; one more of each is in the vocabulary and has none
IDS = Vocabulary(pa.array(range(1, N_USERS + 2))), Vocabulary(pa.array(range(1, N_ITEMS + 2)))


def rated(share: float = 0.6, *, seed: int = 0, low: float = 1.0, high: float = 5.0) -> Interactions:
    """Even users rate even items `high` and others `low`, odd users the other way round; some watches are not rated."""
    generator = np.random.default_rng(seed)
    users, items = np.meshgrid(np.arange(1, N_USERS + 1), np.arange(1, N_ITEMS + 1), indexing="ij")
    kept = generator.random(users.shape) < share
    user, item = users[kept].astype(np.int32), items[kept].astype(np.int32)
    rating = np.where(user % 2 == item % 2, high, low).astype(np.float32)
    rating[generator.random(len(rating)) < 0.1] = np.nan
    return Interactions(*IDS, user, item, rating=rating)


def parity_features(history: Interactions) -> FeatureTables:
    """A category that tells even numbers from odd ones, for users and for items."""
    users, items = (
        FeatureColumns(
            {"parity": np.append(0, 1 + np.arange(1, len(ids) + 1) % 2).astype(np.int32)}, sizes={"parity": 3}
        )
        for ids in IDS
    )
    return FeatureTables(history, users, items)


def pairs_of(users: Any, items: Any) -> Candidates:
    """A row for each pair, each asked for on its own."""
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    n = len(users)
    return Candidates(
        users, np.arange(n), items, np.zeros(n, np.float32), np.ones(n, np.int32), np.zeros(n, np.int8), ("test",)
    )


HISTORY = rated()
FEATURES = parity_features(HISTORY)
EVERY_PAIR = pairs_of(
    np.repeat(np.arange(N_USERS + 2), N_ITEMS + 2), np.tile(np.arange(N_ITEMS + 2), N_USERS + 2)
)  # with the unknown, and those without ratings


class RatingRankerPromises:
    serving_form: Any = OnnxRegressor  # made of the folder of an export
    most_off = 1.5  # mean absolute error on withheld pairs of the board, whose ratings are 1 and 5
    reads_features = True  # so that it can tell the tastes of a user, and what is an item, of which there is no rating

    @classmethod
    def unfitted(cls) -> Any:
        raise NotImplementedError

    @classmethod
    def fitted(cls, history: Interactions, features: FeatureTables) -> Any:
        return cls.unfitted().fit(history, features, seed=0)

    @pytest.fixture(scope="class")
    @classmethod
    def told(cls) -> list[tuple[int, int]]:
        """What the training of `ranker` says of its progress."""
        return []

    @pytest.fixture(scope="class")
    @classmethod
    def ranker(cls, told: list[tuple[int, int]]) -> Any:
        return cls.unfitted().fit(HISTORY, FEATURES, seed=0, progress=lambda *step: told.append(step))

    def test_one_finite_rating_per_row_within_the_range_of_the_data(self, ranker: Any) -> None:
        ratings = ranker.score(EVERY_PAIR, FEATURES)
        assert ratings.shape == (len(EVERY_PAIR),)
        assert ratings.dtype == np.float32
        assert ((ratings >= 1) & (ratings <= 5)).all()
        assert ranker.score(pairs_of([], []), FEATURES).shape == (0,)

    def test_learns_what_is_plain_to_see(self, ranker: Any) -> None:
        withheld = [
            pair for pair in zip(*all_pairs(), strict=True) if pair not in set(zip(*known_pairs(), strict=True))
        ]
        users, items = np.array(withheld).T
        error = np.abs(ranker.score(pairs_of(users, items), FEATURES) - np.where(users % 2 == items % 2, 5, 1))
        assert len(users) > 100
        assert error.mean() < self.most_off

    def test_scores_follow_their_rows(self, ranker: Any) -> None:
        order = np.random.default_rng(0).permutation(len(EVERY_PAIR))
        shuffled = pairs_of(EVERY_PAIR.user_num[order], EVERY_PAIR.item_num[order])
        ratings = ranker.score(EVERY_PAIR, FEATURES)
        np.testing.assert_allclose(ranker.score(shuffled, FEATURES), ratings[order], atol=1e-5)

    def test_one_pair_equals_its_row_in_a_batch(self, ranker: Any) -> None:
        ratings = ranker.score(EVERY_PAIR, FEATURES)
        np.testing.assert_allclose(ranker.score(EVERY_PAIR.select(np.array([77])), FEATURES), ratings[77:78], atol=1e-5)

    def test_scores_of_many_blocks(self, ranker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        ratings = ranker.score(EVERY_PAIR, FEATURES)
        monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 100)
        for module in ("regressor", "serving"):
            monkeypatch.setattr(f"belfry.ranking.ratings.{module}.ROWS_PER_BLOCK", 100)
        np.testing.assert_allclose(ranker.score(EVERY_PAIR, FEATURES), ratings, atol=1e-5)

    def test_refit_equals_fresh_fit(self, ranker: Any) -> None:
        other = rated(0.3, seed=5)
        refitted = self.unfitted().fit(other, parity_features(other), seed=3).fit(HISTORY, FEATURES, seed=0)
        np.testing.assert_array_equal(refitted.score(EVERY_PAIR, FEATURES), ranker.score(EVERY_PAIR, FEATURES))

    def test_one_deviation_per_row_and_none_without_errors(self, ranker: Any) -> None:
        told = ranker.deviations(EVERY_PAIR)
        assert told.shape == (len(EVERY_PAIR),)
        assert told.dtype == np.float32
        assert ((told > 0) & (told < 4)).all()
        history = rated(low=4, high=4)
        np.testing.assert_array_equal(self.fitted(history, parity_features(history)).deviations(EVERY_PAIR), 0)

    def test_save_and_load_keep_scores(self, ranker: Any, tmp_path: Path) -> None:
        ranker.save(tmp_path / "model")
        loaded = type(ranker).load(tmp_path / "model")
        assert loaded.config == ranker.config
        np.testing.assert_array_equal(loaded.score(EVERY_PAIR, FEATURES), ranker.score(EVERY_PAIR, FEATURES))
        np.testing.assert_array_equal(loaded.deviations(EVERY_PAIR), ranker.deviations(EVERY_PAIR))
        assert {path.suffix for path in (tmp_path / "model").iterdir()} <= {".json", ".npz", ".npy"}  # none runs code

    def test_the_serving_form_gives_the_same_scores(self, ranker: Any, tmp_path: Path) -> None:
        ranker.export(tmp_path / "served")
        served = self.serving_form(tmp_path / "served")
        for rows in (slice(None), slice(3, 4), slice(0, 0)):
            pairs = pairs_of(EVERY_PAIR.user_num[rows], EVERY_PAIR.item_num[rows])
            ratings = served.score(pairs, FEATURES)
            assert ratings.dtype == np.float32
            np.testing.assert_allclose(ratings, ranker.score(pairs, FEATURES), atol=1e-4)

    def test_ratings_outside_the_history_change_nothing(self, ranker: Any) -> None:
        """Those of ids that the vocabularies do not know, and the later ones that a split holds back."""
        stranger = np.zeros(50, np.int32)
        anyone = np.arange(50, dtype=np.int32) % N_ITEMS + 1
        history = joined(HISTORY, stranger, anyone, np.full(50, 5))
        history = joined(history, anyone, stranger, np.full(50, 1))
        again = self.fitted(history, parity_features(history))
        np.testing.assert_array_equal(again.score(EVERY_PAIR, FEATURES), ranker.score(EVERY_PAIR, FEATURES))

    def test_of_several_ratings_the_newest_counts(self, ranker: Any) -> None:
        history = replace(HISTORY, timestamp_s=np.arange(len(HISTORY)))
        older = history.select(np.isfinite(HISTORY.rating))
        older = replace(older, rating=6 - older.rating, timestamp_s=older.timestamp_s - 10_000)
        both = replace(
            history,
            **{
                name: np.concatenate([getattr(history, name), getattr(older, name)])
                for name in ("user_num", "item_num", "rating", "timestamp_s")
            },
        )
        again = self.fitted(both, parity_features(both))
        np.testing.assert_array_equal(again.score(EVERY_PAIR, FEATURES), ranker.score(EVERY_PAIR, FEATURES))

    def test_ids_without_ratings_are_answered(self, ranker: Any) -> None:
        """By their features where it reads them, else by the mean or by what is known of the other side."""
        new_user, new_item = N_USERS + 1, N_ITEMS + 1
        liked, disliked = np.arange(1, N_ITEMS + 1, 2), np.arange(2, N_ITEMS + 1, 2)  # of user 41
        by_user = [
            ranker.score(pairs_of(np.full(len(items), new_user), items), FEATURES).mean() for items in (liked, disliked)
        ]
        fans, others = np.arange(1, N_USERS + 1, 2), np.arange(2, N_USERS + 1, 2)  # of item 31
        by_item = [
            ranker.score(pairs_of(users, np.full(len(users), new_item)), FEATURES).mean() for users in (fans, others)
        ]
        if self.reads_features:
            assert by_user[0] > by_user[1] + 1
            assert by_item[0] > by_item[1] + 1
        else:
            assert abs(ranker.score(pairs_of([new_user], [new_item]), FEATURES)[0] - 3) < 1.5

    def test_ids_and_ratings_alone_will_do(self) -> None:
        alone = features_of(HISTORY)
        ratings = self.fitted(HISTORY, alone).score(EVERY_PAIR, alone)
        assert ((ratings >= 1) & (ratings <= 5)).all()

    def test_another_scale_of_ratings_gives_the_same_on_that_scale(self, ranker: Any) -> None:
        history = rated(low=-100, high=300)
        ratings = self.fitted(history, parity_features(history)).score(EVERY_PAIR, FEATURES)
        np.testing.assert_allclose(ratings, ranker.score(EVERY_PAIR, FEATURES) * 100 - 200, atol=2)

    def test_constant_ratings_are_the_answer(self) -> None:
        history = rated(low=4, high=4)
        features = parity_features(history)
        np.testing.assert_array_equal(self.fitted(history, features).score(EVERY_PAIR, features), 4)

    @pytest.mark.parametrize("n_rows", [1, 3])
    def test_a_few_ratings_will_do(self, n_rows: int) -> None:
        history = HISTORY.select(np.flatnonzero(np.isfinite(HISTORY.rating))[:n_rows])
        ratings = self.fitted(history, parity_features(history)).score(EVERY_PAIR, FEATURES)
        assert ((ratings >= 1) & (ratings <= 5)).all()

    def test_no_ratings_are_refused_by_name(self) -> None:
        for rating in (None, np.full(len(HISTORY), np.nan, np.float32)):
            watches = replace(HISTORY, rating=rating)
            name = self.unfitted().config.kind
            with pytest.raises(InputError, match=rf"{name}: needs a column 'rating' with ratings"):
                self.unfitted().check(watches, features_of(watches))
            with pytest.raises(InputError, match=rf"{name}: needs a column 'rating' with ratings"):
                self.fitted(watches, features_of(watches))

    def test_a_feature_that_is_not_finite_is_named(self) -> None:
        broken = FeatureColumns(numeric={"age": np.full(N_USERS + 2, np.nan, np.float32)})
        features = replace(FEATURES, users=broken)
        if not self.reads_features:
            self.fitted(HISTORY, features)
        else:
            with pytest.raises(DivergenceError, match="feature 'age' is not finite"):
                self.fitted(HISTORY, features)

    def test_scoring_before_fit_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"not fitted; call fit\(\) or load\(\) first"):
            self.unfitted().score(EVERY_PAIR, FEATURES)
        with pytest.raises(InputError, match="not fitted"):
            self.unfitted().deviations(EVERY_PAIR)

    def test_progress_ends_at_the_whole(self, ranker: Any, told: list[tuple[int, int]]) -> None:
        assert [done for done, _ in told] == list(range(1, len(told) + 1))
        assert told[-1][0] <= told[-1][1]


def joined(history: Interactions, users: Numbers, items: Numbers, rating: Any) -> Interactions:
    """More rated events behind those of `history`."""
    return replace(
        history,
        user_num=np.append(history.user_num, users),
        item_num=np.append(history.item_num, items),
        rating=np.append(history.rating, rating).astype(np.float32),
    )


def all_pairs() -> tuple[list[int], list[int]]:
    users, items = np.meshgrid(np.arange(1, N_USERS + 1), np.arange(1, N_ITEMS + 1), indexing="ij")
    return users.ravel().tolist(), items.ravel().tolist()


def known_pairs() -> tuple[list[int], list[int]]:
    return HISTORY.user_num.tolist(), HISTORY.item_num.tolist()
