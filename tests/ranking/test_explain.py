"""Explanations: effects of a ranker whose answer is known, groups of columns in words, shares of the history."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit

from belfry.ranking.base import Scores
from belfry.ranking.explain import contributions, group_columns, occlude
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import HISTORY_LENGTH, Lists
from tests.ranking.features.test_pair_features import CONFIG, random_world

NAMES = ("score", "standard_score", "category.genres.uniform", "popularity", "history_length")


@dataclass
class Linear:
    """Log-odds are a weighted sum of the features; `of_list` adds the mean of the list's first column."""

    weights: npt.NDArray[np.float32]
    of_list: float = 0.0

    def score_lists(self, lists: Lists) -> Scores:
        logits = lists.pairs @ self.weights
        for start, stop in zip(lists.starts[:-1], lists.starts[1:], strict=True):
            logits[start:stop] += self.of_list * lists.pairs[start:stop, :1].sum()
        scores: Scores = expit(logits).astype(np.float32)
        return scores


def lists_of(lengths: list[int], seed: int = 0) -> Lists:
    n_rows = sum(lengths)
    pairs = np.random.default_rng(seed).normal(size=(n_rows, len(NAMES))).astype(np.float32)
    starts = np.append(0, np.cumsum(lengths)).astype(np.int64)
    pairs[:, -1] = np.repeat(np.arange(len(lengths)), lengths)  # the same in all rows of a list
    return Lists(
        pairs,
        NAMES,
        np.arange(1, n_rows + 1, dtype=np.int32),
        starts,
        np.arange(1, len(lengths) + 1, dtype=np.int32),
        np.zeros((len(lengths), HISTORY_LENGTH), np.int32),
    )


WEIGHTS = np.array([0.5, -1.0, 2.0, 0.0, 3.0], np.float32)


def test_effects_of_a_linear_ranker_are_known() -> None:
    lists = lists_of([6])
    effects = occlude(Linear(WEIGHTS), lists)
    assert effects.groups == ("retrieval's order", "genres", "popularity", "history length")
    centred = lists.pairs - lists.pairs.mean(axis=0)
    by_column = centred * WEIGHTS
    expected = [by_column[:, :2].sum(axis=1), by_column[:, 2], by_column[:, 3], by_column[:, 4]]
    np.testing.assert_allclose(effects.changes, expected, atol=1e-4)
    assert not effects.changes[3].any()  # what is the same for a whole list carries no place of it


@pytest.mark.parametrize("ranker", [Linear(WEIGHTS), Linear(WEIGHTS, of_list=0.3)])
def test_each_list_is_explained_as_if_it_were_alone(ranker: Linear) -> None:
    lists = lists_of([5, 0, 1, 7])
    together = occlude(ranker, lists)
    alone = [occlude(ranker, lists.select(np.array([place]))) for place in range(len(lists))]
    np.testing.assert_allclose(together.changes, np.concatenate([one.changes for one in alone], axis=1), atol=1e-6)
    assert not together.changes[:, 5].any()  # a row alone is its own mean


def test_the_lists_themselves_are_left_as_they_are() -> None:
    lists = lists_of([4])
    before = lists.pairs.copy()
    occlude(Linear(WEIGHTS), lists)
    np.testing.assert_array_equal(lists.pairs, before)


def test_certainty_has_finite_effects() -> None:
    assert np.isfinite(occlude(Linear(1e6 * WEIGHTS), lists_of([5])).changes).all()


def test_no_candidates() -> None:
    assert occlude(Linear(WEIGHTS), lists_of([0])).changes.shape == (4, 0)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("retrieval's order", ["score", "log_rank", "standard_score", "log_rank_score"]),
        ("source two_tower", ["score_two_tower", "log_rank_in_two_tower"]),
        ("source popularity", ["score_popularity", "log_rank_in_popularity"]),
        (
            "similarity to what was watched",
            [
                "cosine_uniform",
                "cosine_nearest",
                "ease_rated",
                "svd_16",
                "standard_ease_recent",
                "log_rank_cosine_even",
            ],
        ),
        ("watched in one sitting", ["cooccurrence_uniform", "cooccurrence_nearest"]),
        ("popularity", ["popularity", "standard_popularity", "log_rank_popularity"]),
        ("watches in those days", ["near_1d", "lift_30d", "standard_near_3d", "log_rank_near_3d"]),
        ("time since its first watch", ["item_age"]),
        ("ratings", ["item_rating", "user_rating"]),
        ("users of the same age", ["segment.age_bucket"]),
        ("users of the same occupation", ["segment.occupation"]),
        ("release_year", ["item.release_year", "distance.release_year", "category.release_year_bucket.uniform"]),
        ("genres", ["category.genres.uniform", "category.genres.recency"]),
        ("something new", ["something_new"]),
    ],
)
def test_columns_that_belong_together(words: str, names: list[str]) -> None:
    assert group_columns(tuple(names)) == {words: list(range(len(names)))}


def test_every_column_of_pair_features_has_words() -> None:
    features = random_world()
    names = PairFeatures.fit(features, CONFIG).names(features, ("a", "in_b"))
    groups = group_columns(names)
    assert sorted(column for columns in groups.values() for column in columns) == list(range(len(names)))
    assert groups.keys() == {
        *("retrieval's order", "source a", "source in_b", "similarity to what was watched", "watched in one sitting"),
        *("popularity", "watches in those days", "time since its first watch", "ratings"),
        *("country", "genres", "year", "users of the same group"),
        *("history length", "history popularity", "idle days", "user age"),  # alike for a whole list
    }


@pytest.mark.parametrize("ease_max_items", [0, 100])
def test_contributions_add_up_to_the_features_of_affinity(ease_max_items: int) -> None:
    features = random_world()
    pair_features = PairFeatures.fit(features, CONFIG.model_copy(update={"ease_max_items": ease_max_items}))
    watched = features.history.seen_items.of(3)
    items = np.setdiff1d(np.arange(1, len(features.history.items) + 1, dtype=np.int32), watched)
    found = contributions(pair_features.arrays, watched, items)
    assert found.shape == (len(items), len(watched))
    if ease_max_items:
        np.testing.assert_array_equal(found, pair_features.arrays["ease"][np.ix_(watched, items)].T)
    else:
        for row, item in enumerate(items):
            near = dict(zip(pair_features.arrays["neighbour"][item], pair_features.arrays["cosine"][item], strict=True))
            assert found[row].tolist() == [near.get(number, 0) for number in watched]
        assert found.any()
