"""Examples: labels, lists that teach, the split by user, NDCG."""

import numpy as np
import pytest

from dataset.candidates import Candidates
from dataset.interactions import SeenItems
from evaluation.metrics import hits, lists_of, ndcg
from ranking.examples import Examples, concatenate, make_examples, split_by_user

NAMES = ("score", "constant")


def later_items(items_by_user: dict[int, list[int]], n_users: int) -> SeenItems:
    items = [sorted(items_by_user.get(user, [])) for user in range(n_users + 1)]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in items])])
    return SeenItems(starts.astype(np.int64), np.array([item for row in items for item in row], np.int32))


def lists(users: list[int], items: list[list[int]]) -> Candidates:
    counts = [len(row) for row in items]
    rank = np.concatenate([np.arange(1, count + 1) for count in counts])
    return Candidates(
        users=np.array(users, np.int32),
        row_user=np.repeat(np.arange(len(users)), counts),
        item_num=np.array([item for row in items for item in row], np.int32),
        score=(-rank).astype(np.float32),
        rank=rank.astype(np.int32),
        origin=np.zeros(sum(counts), np.int8),
        origins=("test",),
    )


def examples_of(candidates: Candidates, later: SeenItems) -> Examples:
    pairs = np.stack([candidates.score, np.ones(len(candidates), np.float32)], axis=1)
    return make_examples(candidates, pairs, NAMES, later)


@pytest.fixture
def examples() -> Examples:
    """Users 2 and 5 teach; 3 has no positive, 4 no negative, 1 no candidates. One that user 5 watched was missed."""
    candidates = lists([2, 3, 1, 4, 5], [[10, 11, 12], [10, 11], [], [12], [12, 10, 11, 13]])
    later = later_items({2: [11], 3: [14], 4: [12], 5: [9, 11, 12]}, n_users=6)
    return examples_of(candidates, later)


def test_labels_and_lists_that_teach(examples: Examples) -> None:
    assert examples.users.tolist() == [2, 5]
    assert len(examples) == 2
    assert examples.starts.tolist() == [0, 3, 7]
    assert examples.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert examples.labels.dtype == np.float32
    assert examples.pairs[:, 0].tolist() == [-1, -2, -3, -1, -2, -3, -4]
    assert examples.names == NAMES


def test_a_later_event_that_retrieval_missed_counts(examples: Examples) -> None:
    assert examples.n_relevant.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("users", "items"),
    [([1, 2], [[], [10, 11]]), ([2, 1], [[10, 11], []]), ([1, 2, 3, 4], [[], [10, 11], [], []])],
)
def test_users_without_candidates_stand_in_nobodys_way(users: list[int], items: list[list[int]]) -> None:
    made = examples_of(lists(users, items), later_items({1: [10], 2: [11], 4: [11]}, n_users=4))
    assert made.users.tolist() == [2]
    assert made.labels.tolist() == [0, 1]


@pytest.mark.parametrize("items", [[[]], [[10]], [[11, 12]]])
def test_nothing_that_teaches(items: list[list[int]]) -> None:
    made = examples_of(lists([1], items), later_items({1: [10]}, n_users=1))
    assert len(made) == len(made.pairs) == len(made.labels) == 0
    assert made.starts.tolist() == [0]


def test_select_takes_lists_in_the_order_asked(examples: Examples) -> None:
    turned = examples.select(np.array([1, 0]))
    assert turned.users.tolist() == [5, 2]
    assert turned.starts.tolist() == [0, 4, 7]
    assert turned.labels.tolist() == [1, 0, 1, 0, 0, 1, 0]
    assert turned.n_relevant.tolist() == [3, 1]


def test_concatenate(examples: Examples) -> None:
    both = concatenate([examples, examples.select(np.array([1]))])
    assert both.users.tolist() == [2, 5, 5]
    assert both.starts.tolist() == [0, 3, 7, 11]
    assert both.labels[7:].tolist() == [1, 0, 1, 0]
    assert both.n_relevant.tolist() == [1, 3, 3]
    assert len(both.pairs) == 11


@pytest.mark.parametrize("share", [0.01, 0.15, 0.5])
def test_the_split_keeps_all_lists_of_a_user_together(share: float) -> None:
    users = np.random.default_rng(0).integers(1, 21, 60).tolist()
    made = examples_of(lists(users, [[10, 11]] * 60), later_items({user: [11] for user in range(1, 21)}, n_users=20))
    learned, validation = split_by_user(made, share=share, seed=0)
    assert not set(learned.users) & set(validation.users)
    assert sorted([*learned.users, *validation.users]) == sorted(users)
    assert len(set(validation.users)) == max(1, round(len(set(users)) * share))
    assert set(split_by_user(made, share=share, seed=0)[1].users) == set(validation.users)


def test_the_split_depends_on_the_seed() -> None:
    made = examples_of(
        lists(list(range(1, 41)), [[10, 11]] * 40), later_items({user: [11] for user in range(1, 41)}, 40)
    )
    assert set(split_by_user(made, share=0.2, seed=0)[1].users) != set(split_by_user(made, share=0.2, seed=1)[1].users)


def test_one_user_leaves_nothing_to_learn_from() -> None:
    made = examples_of(lists([1], [[10, 11]]), later_items({1: [11]}, n_users=1))
    assert [len(part) for part in split_by_user(made, share=0.15, seed=0)] == [0, 1]


def test_ndcg_by_hand(examples: Examples) -> None:
    """By its own order: user 2 has a hit at rank 2 of one; user 5 at ranks 1 and 3 of three."""
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    expected = [1 / np.log2(3), (1 + 1 / np.log2(4)) / ideal]
    np.testing.assert_allclose(examples.ndcg(examples.pairs[:, 0]), expected)
    np.testing.assert_allclose(examples.ndcg(examples.labels), [1, (1 + 1 / np.log2(3)) / ideal])
    np.testing.assert_allclose(examples.ndcg(-examples.pairs[:, 0], n=1), [0, 0])


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
    later = later_items({user: (generator.permutation(40)[:6] + 1).tolist() for user in users}, n_users=30)
    made = examples_of(lists(users, items), later)
    assert 10 < len(made) <= 30
    score = generator.normal(size=len(made.labels)).astype(np.float32)
    ordered = [
        [items[user - 1][place] for place in np.argsort(-score[start:stop])]
        for user, start, stop in zip(made.users, made.starts[:-1], made.starts[1:], strict=True)
    ]
    ranked = lists(made.users.tolist(), ordered)
    expected = ndcg(hits(lists_of(ranked, n), made.users, later), made.n_relevant)
    np.testing.assert_allclose(made.ndcg(score, n), expected, atol=1e-12)
