"""FirstWatches: popularity counts beside the ranker while little is known of a user, where that was learned."""

import numpy as np
import pytest

from belfry.ranking.examples import Examples
from belfry.ranking.lists import HISTORY_LENGTH, Lists
from belfry.ranking.listwise.first_watches import FEW, LENGTH, MANY, MIN_LISTS, FirstWatches

N_ROWS = 40


def lists_of(length: np.ndarray, popularity: np.ndarray, n_rows: int = N_ROWS) -> Lists:
    """Lists of `n_rows`; `length` [n_lists] is log(1 + events), `popularity` [n_lists * n_rows]."""
    n_lists = len(length)
    pairs = np.stack([np.repeat(length, n_rows), popularity], axis=1).astype(np.float32)
    items = np.tile(np.arange(1, n_rows + 1, dtype=np.int32), n_lists)
    starts = np.arange(0, n_lists * n_rows + 1, n_rows)
    history = np.zeros((n_lists, HISTORY_LENGTH), np.int32)
    return Lists(pairs, (LENGTH, "popularity"), items, starts, np.arange(1, n_lists + 1, dtype=np.int32), history)


def newcomers(n_lists: int, *, by: str) -> tuple[Examples, np.ndarray]:
    """Newcomers who watch by what is popular, or by what a ranker says; and its log-odds, independent of popularity."""
    generator = np.random.default_rng(0)
    popularity, log_odds = generator.normal(size=(2, n_lists * N_ROWS))
    truth = popularity if by == "popularity" else log_odds
    labels = (truth + generator.gumbel(size=len(truth)) > 2.5).astype(np.float32)
    lists = lists_of(generator.uniform(0.7, FEW, n_lists), popularity)
    n_relevant = np.maximum(np.bincount(lists.row_list, labels).astype(np.int64), 1)
    return Examples(lists, labels, n_relevant), log_odds


def test_where_newcomers_watch_what_is_popular_it_decides() -> None:
    examples, log_odds = newcomers(200, by="popularity")
    learned = FirstWatches.fit(log_odds, examples)
    assert learned is not None
    assert learned.columns == ("popularity",)
    others, noise = newcomers(80, by="popularity")
    assert others.ndcg(learned(noise, others.lists)).mean() > others.ndcg(noise).mean() + 0.1


def test_the_same_examples_teach_the_same() -> None:
    examples, log_odds = newcomers(100, by="popularity")
    assert FirstWatches.fit(log_odds, examples) == FirstWatches.fit(log_odds, examples)


def test_where_the_ranker_is_right_nothing_is_learned() -> None:
    examples, log_odds = newcomers(200, by="ranker")
    assert FirstWatches.fit(log_odds, examples) is None


def test_few_newcomers_and_other_features_teach_nothing() -> None:
    examples, log_odds = newcomers(MIN_LISTS - 1, by="popularity")
    assert FirstWatches.fit(log_odds, examples) is None
    examples, log_odds = newcomers(MIN_LISTS + 1, by="popularity")
    nameless = Lists(
        examples.lists.pairs, ("one", "other"), examples.lists.items, examples.lists.starts, *examples_of(examples)
    )
    assert FirstWatches.fit(log_odds, Examples(nameless, examples.labels, examples.n_relevant)) is None


def examples_of(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    return examples.lists.users, examples.lists.history


@pytest.mark.parametrize(("events", "share"), [(1, 0.0), (10, 0.0), (20, None), (40, 1.0), (500, 1.0)])
def test_the_order_moves_from_the_newcomers_to_the_rankers(events: int, share: float | None) -> None:
    popularity, log_odds = np.arange(4.0), np.array([3.0, 2, 1, 0])
    learned = FirstWatches(("popularity",), (-1.0, 0.0, 0.5, 0.0, 2.0))
    found = learned(log_odds, lists_of(np.array([np.log1p(events)]), popularity, 4))
    early = -1 + 0.5 * log_odds + 2 * popularity
    if share is None:
        share = (np.log1p(events) - FEW) / (MANY - FEW)
        assert 0 < share < 1
    np.testing.assert_allclose(found, (1 - share) * early + share * log_odds, atol=1e-5)


def test_each_list_goes_by_its_own_history() -> None:
    learned = FirstWatches(("popularity",), (0.0, 0.0, 0.0, 0.0, 1.0))
    lists = lists_of(np.log1p([2, 100]), np.arange(8.0), 4)
    np.testing.assert_allclose(learned(np.full(8, -3.0), lists), [0, 1, 2, 3, -3, -3, -3, -3], atol=1e-6)
