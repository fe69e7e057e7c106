"""FirstWatches: popularity counts beside the ranker while little is known of a user, where that was learned."""

import numpy as np
import pytest

from belfry.dataset.folds import MIN_NEWCOMERS
from belfry.ranking.examples import Examples
from belfry.ranking.lists import HISTORY_LENGTH, Lists
from belfry.ranking.listwise.first_watches import FEW, LENGTH, MANY, FirstWatches

N_ROWS = 40


def lists_of(length: np.ndarray, popularity: np.ndarray, n_rows: int = N_ROWS) -> Lists:
    """Lists of `n_rows`; `length` [n_lists] is log(1 + events), `popularity` [n_lists * n_rows]."""
    n_lists = len(length)
    pairs = np.stack([np.repeat(length, n_rows), popularity], axis=1).astype(np.float32)
    items = np.tile(np.arange(1, n_rows + 1, dtype=np.int32), n_lists)
    starts = np.arange(0, n_lists * n_rows + 1, n_rows)
    history = np.zeros((n_lists, HISTORY_LENGTH), np.int32)
    return Lists(pairs, (LENGTH, "popularity"), items, starts, np.arange(1, n_lists + 1, dtype=np.int32), history)


def users(n_lists: int, *, by: str, events: tuple[int, int] = (1, 10)) -> tuple[np.ndarray, Examples]:
    """Who watches by what is popular, or by what a ranker says: its log-odds, independent of popularity, and lists."""
    generator = np.random.default_rng(0)
    popularity, log_odds = generator.normal(size=(2, n_lists * N_ROWS))
    truth = popularity if by == "popularity" else log_odds
    labels = (truth + generator.gumbel(size=len(truth)) > 2.5).astype(np.float32)
    lists = lists_of(generator.uniform(*np.log1p(events), n_lists), popularity)
    n_relevant = np.maximum(np.bincount(lists.row_list, labels).astype(np.int64), 1)
    return log_odds, Examples(lists, labels, n_relevant)


KNOWN = users(50, by="ranker", events=(50, 500))


def test_where_newcomers_watch_what_is_popular_it_decides() -> None:
    learned = FirstWatches.fit(*users(200, by="popularity"), *KNOWN)
    assert learned is not None
    assert learned.columns == ("popularity",)
    noise, others = users(80, by="popularity")
    assert others.ndcg(learned(noise, others.lists)).mean() > others.ndcg(noise).mean() + 0.1


def test_its_log_odds_are_those_of_a_share_of_the_watches() -> None:
    log_odds, examples = users(400, by="popularity")
    for share in (1.0, 0.2):
        learned = FirstWatches.fit(log_odds, examples, *KNOWN, share=share)
        assert learned is not None
        few = examples.lists.column(LENGTH) < np.log1p(FEW * learned.many)
        expected = 1 / (1 + np.exp(-learned(log_odds, examples.lists)[few]))
        assert expected.mean() == pytest.approx(share * (examples.labels[few] > 0).mean(), rel=0.3)


def test_the_same_examples_teach_the_same() -> None:
    examples = users(100, by="popularity")
    assert FirstWatches.fit(*examples, *KNOWN) == FirstWatches.fit(*examples, *KNOWN)


def test_where_the_ranker_is_right_nothing_is_learned() -> None:
    assert FirstWatches.fit(*users(200, by="ranker"), *KNOWN) is None


def test_users_with_a_history_say_from_where_on_the_ranker_is_right() -> None:
    examples = users(200, by="popularity")
    found = [FirstWatches.fit(*examples, *users(50, by=by, events=(1, 30))) for by in ("popularity", "ranker")]
    assert [one and one.many for one in found] == [MANY[0], None]


def test_few_newcomers_and_other_features_teach_nothing() -> None:
    assert FirstWatches.fit(*users(MIN_NEWCOMERS - 1, by="popularity"), *KNOWN) is None
    log_odds, examples = users(MIN_NEWCOMERS + 1, by="popularity")
    lists = examples.lists
    nameless = Lists(lists.pairs, ("one", "other"), lists.items, lists.starts, lists.users, lists.history)
    assert FirstWatches.fit(log_odds, Examples(nameless, examples.labels, examples.n_relevant), *KNOWN) is None


@pytest.mark.parametrize(("events", "share"), [(1, 0.0), (10, 0.0), (20, None), (40, 1.0), (500, 1.0)])
def test_the_order_moves_from_the_newcomers_to_the_rankers(events: int, share: float | None) -> None:
    popularity, log_odds, length = np.arange(4.0), np.array([3.0, 2, 1, 0]), np.log1p(events)
    learned = FirstWatches(("popularity",), -1.0, (0.5, 2.0, 0.1, -0.2), 40)
    found = learned(log_odds, lists_of(np.array([length]), popularity, 4))
    early = -1 + (0.5 + 0.1 * length) * log_odds + (2 - 0.2 * length) * popularity
    if share is None:
        few = np.log1p(40 * FEW)
        share = (length - few) / (np.log1p(40) - few)
        assert 0 < share < 1
    np.testing.assert_allclose(found, (1 - share) * early + share * log_odds, atol=1e-5)


def test_each_list_goes_by_its_own_history() -> None:
    learned = FirstWatches(("popularity",), 0.0, (0.0, 1.0, 0.0, 0.0), 40)
    lists = lists_of(np.log1p([2, 100]), np.arange(8.0), 4)
    np.testing.assert_allclose(learned(np.full(8, -3.0), lists), [0, 1, 2, 3, -3, -3, -3, -3], atol=1e-6)
