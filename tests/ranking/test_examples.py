"""Examples: labels of three kinds, which lists are kept, who validates, NDCG."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import take_top_k
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.metrics import hits, lists_of, ndcg
from belfry.ranking.examples import Examples, concatenate, make_examples, validation_users
from belfry.ranking.lists import HISTORY_LENGTH, Lists

NAMES = ("score", "constant")
N_ITEMS = 40


def later_events(rows: list[tuple[int, int, float | None]], n_users: int = 40) -> Interactions:
    """Events (user, item, rating); ids equal numbers. Ratings are left out where all are None."""
    users, items, ratings = zip(*rows, strict=True) if rows else ((), (), ())
    return Interactions(
        Vocabulary(pa.array(range(1, n_users + 1))),
        Vocabulary(pa.array(range(1, N_ITEMS + 1))),
        np.array(users, np.int32),
        np.array(items, np.int32),
        rating=None if set(ratings) <= {None} else np.array(ratings, np.float32),  # None becomes NaN
    )


def watched(items_by_user: dict[int, list[int]]) -> Interactions:
    return later_events([(user, item, None) for user, items in items_by_user.items() for item in items])


def lists_for(users: list[int], items: list[list[int]]) -> Lists:
    """`score` falls along each list from -1."""
    counts = [len(row) for row in items]
    score = -np.concatenate([np.arange(1, count + 1) for count in [*counts, 0]])
    return Lists(
        pairs=np.stack([score, np.ones(len(score))], axis=1).astype(np.float32),
        names=NAMES,
        items=np.array([item for row in items for item in row], np.int32),
        starts=np.append(0, np.cumsum(counts)).astype(np.int64),
        users=np.array(users, np.int32),
        history=np.zeros((len(users), HISTORY_LENGTH), np.int32),
    )


@pytest.fixture
def examples() -> Examples:
    """Users 2 and 5 have both labels; 3 has no positive, 4 no negative, 1 no candidates. One watch of 5 is missed."""
    lists = lists_for([2, 3, 1, 4, 5], [[10, 11, 12], [10, 11], [], [12], [12, 10, 11, 13]])
    return make_examples(lists, watched({2: [11], 3: [14], 4: [12], 5: [9, 11, 12]}))


def test_lists_with_a_positive_and_a_negative_are_kept(examples: Examples) -> None:
    assert examples.lists.users.tolist() == [2, 5]
    assert len(examples) == 2
    assert examples.lists.starts.tolist() == [0, 3, 7]
    assert examples.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert examples.labels.dtype == np.float32
    assert examples.lists.column("score").tolist() == [-1, -2, -3, -1, -2, -3, -4]
    assert examples.names == NAMES


def test_a_later_event_that_retrieval_missed_counts(examples: Examples) -> None:
    assert examples.n_relevant.tolist() == [1, 3]


RATED = [(1, 10, 1.0), (1, 11, None), (1, 12, 4.0), (1, 13, 3.5), (1, 20, 5.0), (2, 10, 2.0), (2, 11, 3.0)]


@pytest.mark.parametrize(
    ("label", "expected", "n_relevant"),
    [
        ("watched", [1, 1, 1, 1, 0, 1, 1, 0], [5, 2]),
        # From 4 on; of user 2 nothing is liked, whose list so is left out.
        ("liked", [0, 1, 1, 0, 0], [3]),
        # (rating - 1 + 1) / (5 - 1 + 1), and half where there is no rating.
        ("rating", [0.2, 0.5, 0.8, 0.7, 0, 0.4, 0.6, 0], [5, 2]),
    ],
)
def test_labels_of_rated_events(label: str, expected: list[float], n_relevant: list[int]) -> None:
    made = make_examples(
        lists_for([1, 2], [[10, 11, 12, 13, 14], [10, 11, 12]]), later_events(RATED), label, liked_from=4
    )
    np.testing.assert_allclose(made.labels, expected, rtol=1e-6)
    assert made.labels.dtype == np.float32
    assert made.n_relevant.tolist() == n_relevant


@pytest.mark.parametrize("label", ["watched", "liked", "rating"])
@pytest.mark.parametrize("has_column", [True, False])
def test_without_any_rating_every_label_is_watched(label: str, has_column: bool) -> None:
    later = later_events([(1, 10, np.nan if has_column else None), (1, 12, np.nan if has_column else None)])
    assert (later.rating is not None) == has_column
    made = make_examples(lists_for([1], [[10, 11, 12]]), later, label, liked_from=4)
    assert made.labels.tolist() == [1, 0, 1]


def test_one_rating_for_all_is_the_highest() -> None:
    made = make_examples(lists_for([1], [[10, 11]]), later_events([(1, 10, 3.0), (1, 12, 3.0)]), "rating")
    assert made.labels.tolist() == [1, 0]


@pytest.mark.parametrize("first", [2.0, 5.0])
def test_of_repeated_events_the_best_counts_once(first: float) -> None:
    later = later_events([(1, 10, first), (1, 10, 7 - first), (1, 11, 1.0)])
    made = make_examples(lists_for([1], [[12, 10, 11]]), later, "rating")
    np.testing.assert_allclose(made.labels, [0, 1, 0.2])
    assert made.n_relevant.tolist() == [2]


def test_an_event_of_an_unknown_user_or_item_labels_nothing() -> None:
    later = later_events([(1, 11, None), (0, 10, None), (1, 0, None), (0, 0, None)])
    made = make_examples(lists_for([1, 0], [[10, 11, 0], [10, 11]]), later)
    assert made.lists.users.tolist() == [1]
    assert made.labels.tolist() == [0, 1, 0]
    assert made.n_relevant.tolist() == [1]


@pytest.mark.parametrize(
    ("users", "items"),
    [([1, 2], [[], [10, 11]]), ([2, 1], [[10, 11], []]), ([1, 2, 3, 4], [[], [10, 11], [], []])],
)
def test_users_without_candidates_change_no_label(users: list[int], items: list[list[int]]) -> None:
    made = make_examples(lists_for(users, items), watched({1: [10], 2: [11], 4: [11]}))
    assert made.lists.users.tolist() == [2]
    assert made.labels.tolist() == [0, 1]


@pytest.mark.parametrize("items", [[[]], [[10]], [[11, 12]]])
@pytest.mark.parametrize("later", [watched({1: [10]}), watched({})])
def test_lists_of_one_label_make_no_examples(items: list[list[int]], later: Interactions) -> None:
    made = make_examples(lists_for([1], items), later)
    assert len(made) == len(made.lists.pairs) == len(made.labels) == 0
    assert made.lists.starts.tolist() == [0]
    assert made.lists.names == NAMES


def test_lists_with_something_passed_over_lose_others_that_were_not_watched() -> None:
    items = [list(range(1, 39)), list(range(1, 39))]
    made = make_examples(lists_for([2, 5], items), watched({2: [7], 5: [8]}))
    passed_over = watched({2: [3, 7, 39], 4: [5]}).seen_items
    assert passed_over is not None
    few = made.mostly_shown(passed_over, 0.0, np.random.default_rng(0))
    assert few.lists.items.tolist() == [3, 7, *items[1]]
    assert few.labels.tolist() == [0, 1, *made.labels[38:].tolist()]
    assert few.lists.starts.tolist() == [0, 2, 40]
    assert few.lists.column("score").tolist()[:2] == [-3, -7]  # as in the whole list
    assert few.n_relevant.tolist() == made.n_relevant.tolist()
    half = made.mostly_shown(passed_over, 0.5, np.random.default_rng(0))
    assert {3, 7} < {*half.lists.items[: half.lists.starts[1]].tolist()}
    assert 10 < half.lists.lengths[0] < 30
    assert half.lists.lengths[1] == 38


def test_select_takes_lists_in_the_order_asked(examples: Examples) -> None:
    turned = examples.select(np.array([1, 0]))
    assert turned.lists.users.tolist() == [5, 2]
    assert turned.lists.starts.tolist() == [0, 4, 7]
    assert turned.labels.tolist() == [1, 0, 1, 0, 0, 1, 0]
    assert turned.n_relevant.tolist() == [3, 1]


def test_concatenate(examples: Examples) -> None:
    both = concatenate([examples, examples.select(np.array([1]))])
    assert both.lists.users.tolist() == [2, 5, 5]
    assert both.lists.starts.tolist() == [0, 3, 7, 11]
    assert both.labels[7:].tolist() == [1, 0, 1, 0]
    assert both.n_relevant.tolist() == [1, 3, 3]


def test_in_memory_there_is_one_block(examples: Examples) -> None:
    assert list(examples.blocks(np.random.default_rng(0))) == [examples]


@pytest.mark.parametrize("share", [0.01, 0.15, 0.5])
def test_a_share_of_the_users_validates_each_once(share: float) -> None:
    users = np.random.default_rng(0).integers(1, 21, 60).astype(np.int32)
    held_back = validation_users(users, share=share, seed=0).tolist()
    assert len(held_back) == max(1, round(len(set(users.tolist())) * share))
    assert held_back == sorted(set(held_back) & set(users.tolist()))


def test_who_validates_depends_on_the_seed_and_not_on_the_rows() -> None:
    users = np.arange(1, 41, dtype=np.int32)
    first = validation_users(users, share=0.2, seed=0)
    assert first.tolist() == validation_users(np.repeat(users[::-1], 3), share=0.2, seed=0).tolist()
    assert first.tolist() != validation_users(users, share=0.2, seed=1).tolist()


def test_ndcg_by_hand(examples: Examples) -> None:
    """By its own order: user 2 has a hit at rank 2 of one; user 5 at ranks 1 and 3 of three."""
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    score = examples.lists.column("score")
    np.testing.assert_allclose(examples.ndcg(score), [1 / np.log2(3), (1 + 1 / np.log2(4)) / ideal])
    np.testing.assert_allclose(examples.ndcg(examples.labels), [1, (1 + 1 / np.log2(3)) / ideal])
    np.testing.assert_allclose(examples.ndcg(-score, n=1), [0, 0])


def test_ties_keep_the_order_of_the_rows(examples: Examples) -> None:
    np.testing.assert_array_equal(
        examples.ndcg(np.zeros(7, np.float32)), examples.ndcg(np.array([3, 2, 1, 4, 3, 2, 1], np.float32))
    )


@pytest.mark.parametrize("n", [1, 3, 10])
def test_ndcg_agrees_with_the_evaluation(n: int) -> None:
    """Lists of unequal length, some longer than n; scores without ties."""
    generator = np.random.default_rng(0)
    users = list(range(1, 31))
    items = [(generator.permutation(25)[: generator.integers(2, 20)] + 1).tolist() for _ in users]
    later = watched({user: (generator.permutation(N_ITEMS)[:6] + 1).tolist() for user in users})
    made = make_examples(lists_for(users, items), later)
    assert 10 < len(made) <= 30
    score = generator.normal(size=len(made.labels)).astype(np.float32)
    ranked = take_top_k(made.lists.users, made.lists.row_list, made.lists.items, score, top_k=25, origin="test")
    expected = ndcg(hits(lists_of(ranked, n), made.lists.users, later.seen_items), made.n_relevant)
    np.testing.assert_allclose(made.ndcg(score, n), expected, atol=1e-12)


@pytest.mark.parametrize("n_rows", [2, 4, 7, 40])
def test_sampled_rows_hold_positives_and_random_negatives(n_rows: int) -> None:
    """List 1: two positives of ten; list 2: eight of nine; at most half are positives where negatives suffice."""
    users = {1: [3, 5], 2: list(range(1, 9))}
    examples = make_examples(lists_for([1, 2], [list(range(1, 11)), list(range(1, 10))]), watched(users))
    generator = np.random.default_rng(0)
    drawn = [examples.sample(n_rows, generator) for _ in range(20)]
    for sampled in drawn:
        for place, n_positives, length in ((0, 2, 10), (1, 8, 9)):
            rows = sampled.rows[place][sampled.present[place]]
            assert len(set(rows)) == len(rows) == min(n_rows, length)
            assert (examples.lists.row_list[rows] == place).all()
            labels = sampled.labels[place][sampled.present[place]]
            np.testing.assert_array_equal(labels, examples.labels[rows])
            n_negatives = length - n_positives
            kept = min(n_positives, max(n_rows // 2, n_rows - n_negatives))
            assert int(labels.sum()) == kept
            log_weight = sampled.log_weight[place][sampled.present[place]]
            assert not log_weight[labels > 0].any()
            np.testing.assert_allclose(np.exp(log_weight[labels == 0]).sum(), n_negatives, rtol=1e-5)
        assert not sampled.labels[~sampled.present].any()
    if n_rows < 9:
        assert len({tuple(sorted(sampled.rows[0])) for sampled in drawn}) > 1  # drawn anew each time
