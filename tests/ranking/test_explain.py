"""Explanations: effects of a ranker whose answer is known, groups of columns in words, shares of the history."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit

from belfry.ranking.base import Scores
from belfry.ranking.explain import contributions, group_columns, occlude
from belfry.ranking.features.base import Column
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import HISTORY_LENGTH, Lists
from tests.ranking.features.world import CONFIG, candidates_for, random_world

COLUMNS = (
    Column("score", "retrieval's order"),
    Column("standard_score", "retrieval's order"),
    Column("category.genres.uniform", "genres"),
    Column("popularity", "popularity"),
    Column("history_length", "history length"),
)
NAMES = tuple(column.name for column in COLUMNS)


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
    effects = occlude(Linear(WEIGHTS), lists, COLUMNS)
    assert effects.groups == ("retrieval's order", "genres", "popularity", "history length")
    centred = lists.pairs - lists.pairs.mean(axis=0)
    by_column = centred * WEIGHTS
    expected = [by_column[:, :2].sum(axis=1), by_column[:, 2], by_column[:, 3], by_column[:, 4]]
    np.testing.assert_allclose(effects.changes, expected, atol=1e-4)
    assert not effects.changes[3].any()  # what is the same for a whole list carries no place of it


@pytest.mark.parametrize("ranker", [Linear(WEIGHTS), Linear(WEIGHTS, of_list=0.3)])
def test_each_list_is_explained_as_if_it_were_alone(ranker: Linear) -> None:
    lists = lists_of([5, 0, 1, 7])
    together = occlude(ranker, lists, COLUMNS)
    alone = [occlude(ranker, lists.select(np.array([place])), COLUMNS) for place in range(len(lists))]
    np.testing.assert_allclose(together.changes, np.concatenate([one.changes for one in alone], axis=1), atol=1e-6)
    assert not together.changes[:, 5].any()  # a row alone is its own mean


def test_the_lists_themselves_are_left_as_they_are() -> None:
    lists = lists_of([4])
    before = lists.pairs.copy()
    occlude(Linear(WEIGHTS), lists, COLUMNS)
    np.testing.assert_array_equal(lists.pairs, before)


def test_certainty_has_finite_effects() -> None:
    assert np.isfinite(occlude(Linear(1e6 * WEIGHTS), lists_of([5]), COLUMNS).changes).all()


def test_no_candidates() -> None:
    assert occlude(Linear(WEIGHTS), lists_of([0]), COLUMNS).changes.shape == (4, 0)


def test_columns_about_the_same_belong_together() -> None:
    assert group_columns(COLUMNS) == {
        "retrieval's order": [0, 1],
        "genres": [2],
        "popularity": [3],
        "history length": [4],
    }


def test_words_of_the_columns_of_pair_features() -> None:
    """A column's standard score within the list is about the same as the column."""
    features = random_world()
    columns = PairFeatures.fit(features, CONFIG).columns(features, ("a", "in_b"))
    names = {about: {columns[place].name for place in places} for about, places in group_columns(columns).items()}

    def and_places(*placed: str) -> set[str]:
        return {prefix + name for prefix in ("", "standard_") for name in placed}

    expected = {
        "retrieval's order": {"log_rank"} | and_places("score"),
        "source a": {"score_a", "log_rank_in_a"},
        "source in_b": {"score_in_b", "log_rank_in_in_b"},
        "similarity to what was watched": and_places("ease_uniform", "ease_recency", "ease_liked", "ease_disliked")
        | and_places("svd_16", "svd_48", "cosine_recency", "bm25_recency", "bm25_uniform"),
        "watched after one another": and_places("rules_half_life_0.5", "rules_half_life_2", "rules_half_life_20")
        | and_places("rules_second_newest", "rules_third_newest", "next_newest"),
        "watched in one sitting": and_places("cooccurrence_uniform", "cooccurrence_recency"),
        "popularity": and_places("popularity"),
        "watches at that time": {"near_1", "near_16", "lift_1", "lift_4", "lift_16"} | and_places("near_4"),
        "time since its first watch": {"item_age"},
        "ratings": {"item_rating", "user_rating"},
        "users of the same group": {"segment.group"},
        "country": {"category.country.uniform", "category.country.recency"},
        "genres": {"category.genres.uniform", "category.genres.recency"},
        "year": {"item.year", "distance.year"},
        # Alike for a whole list:
        "history length": {"history_length"},
        "history popularity": {"history_popularity"},
        "idle days": {"idle_days"},
        "user age": {"user.age"},
    }
    assert {about: names.get(about) for about in expected} == expected


def test_contributions_add_up_to_a_feature_of_similarity() -> None:
    """To EASE's, in which each event weighs 1 / sqrt(n)."""
    features = random_world()
    pair_features = PairFeatures.fit(features, CONFIG)
    watched = features.history.seen_items.of(3)
    candidates = candidates_for(features, [3])
    found = contributions(pair_features, watched, candidates.item_num)
    assert found.shape == (len(candidates), len(watched))
    values = pair_features.matrix(candidates, features)[:, pair_features.names(features).index("ease_uniform")]
    np.testing.assert_allclose(found.sum(axis=1) / np.sqrt(len(watched)), values, rtol=1e-3, atol=1e-6)
    assert values.any()
