"""Session users: a list follows fresh watches at once, as if they had been there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry import Recommender
from belfry.dataset.errors import InputError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import Id
from belfry.pipeline.serving.users.session import SESSION_USER, session_tables
from tests.pipeline.small_recommender import SmallRecommender

NEWCOMER = 10**9


@pytest.fixture(scope="module")
def recommender(tiny_run: Path) -> Recommender:
    return Recommender.load(tiny_run)


@pytest.fixture(scope="module")
def user(recommender: Recommender) -> Id:
    """The user with the longest history."""
    number = np.argmax(np.diff(recommender.features.history.by_user.starts))
    return int(recommender.users.take([number])[0].as_py())


def test_a_session_user_without_fresh_watches_is_the_user(recommender: Recommender, user: Id) -> None:
    number = recommender.users.number(user)
    tables = session_tables(recommender.features, number, np.zeros(0, np.int32))
    here = recommender.two_stage.towers.encode_queries(np.array([number], np.int32), recommender.features)
    there = recommender.two_stage.towers.encode_queries(SESSION_USER, tables)
    np.testing.assert_allclose(here, there, atol=1e-6)
    assert tables.now_s <= recommender.features.now_s
    for name, values in recommender.features.users.categorical.items():
        assert tables.users.categorical[name].tolist() == [values[0], values[number]]


def test_fresh_watches_come_last_and_now(recommender: Recommender, user: Id) -> None:
    features, number = recommender.features, recommender.users.number(user)
    tables = session_tables(features, number, np.array([7, 3], np.int32))
    assert tables.history.item_num[tables.history.by_user.of(1)][-2:].tolist() == [7, 3]
    assert tables.now_s == features.now_s
    assert tables.history.seen_items.of(1).tolist() == sorted({*features.history.seen_items.of(number).tolist(), 3, 7})


def test_a_session_user_was_shown_what_the_user_was_and_a_stranger_nothing(recommender: Recommender, user: Id) -> None:
    known, number = recommender.features.history, recommender.users.number(user)
    shown = SeenItems(np.where(np.arange(len(known.users) + 2) > number, 3, 0), np.array([2, 5, 5], np.int32))
    features = replace(recommender.features, history=replace(known, impressions=shown))
    for who, items in ((number, [2, 5, 5]), (0, [])):
        impressions = session_tables(features, who, np.array([7], np.int32)).history.impressions
        assert impressions is not None
        assert impressions.of(1).tolist() == items


def test_known_watches_keep_their_weight_and_fresh_ones_weigh_one(recommender: Recommender, user: Id) -> None:
    known, number = recommender.features.history, recommender.users.number(user)
    assert session_tables(recommender.features, number, np.array([7], np.int32)).history.weight is None
    weight = np.random.default_rng(0).uniform(0.2, 5, len(known)).astype(np.float32)
    features = replace(recommender.features, history=replace(known, weight=weight))
    alone = session_tables(features, number, np.zeros(0, np.int32)).history
    assert (alone.weighted_matrix[1] != features.history.weighted_matrix[number]).nnz == 0
    fresh = session_tables(features, number, np.array([7], np.int32)).history
    assert fresh.weight is not None
    assert fresh.weight.tolist() == [*weight[known.by_user.of(number)].tolist(), 1]


def test_fresh_watches_count_as_seen_and_move_the_list(recommender: Recommender, user: Id) -> None:
    before = [result.item_id for result in recommender.recommend(user, 10)]
    after = [result.item_id for result in recommender.recommend(user, 10, history=before[:3])]
    assert not set(after) & set(before[:3])
    assert len(after) == 10
    again = recommender.recommend(user, 10, history=before[:3], exclude_seen=False)
    assert len(again) == 10


def test_a_newcomer_with_three_watches_gets_a_personal_list(recommender: Recommender) -> None:
    items = recommender.items.ids.to_pylist()
    cold = recommender.recommend(NEWCOMER, 10)
    lists = [recommender.recommend(NEWCOMER, 10, history=items[first : first + 3]) for first in (0, 60)]
    assert all(result.is_cold for result in cold)
    assert not any(result.is_cold for results in lists for result in results)
    assert [result.item_id for result in lists[0]] != [result.item_id for result in lists[1]]


def test_items_outside_the_catalogue_are_ignored(recommender: Recommender, user: Id) -> None:
    assert recommender.recommend(user, 5, history=[-5, 1 << 40]) == recommender.recommend(user, 5)


def test_a_single_id_is_refused(recommender: Recommender, user: Id) -> None:
    with pytest.raises(InputError, match="history='50' is one id; pass a list of ids"):
        recommender.recommend(user, 5, history="50")


def test_towers_that_know_ids_alone_say_so(recommender: Recommender, user: Id) -> None:
    by_id_alone = Recommender(replace(recommender.parts, reads_history=False))
    with pytest.raises(InputError, match="know users by their id alone"):
        by_id_alone.recommend(user, 5, history=[recommender.items.ids[0].as_py()])


class _ById:
    """A ranker that knows users by their numbers, and nothing else of them."""

    def score(self, candidates, features):
        return (candidates.user_num + candidates.item_num / 1_000).astype(np.float32)


def test_a_ranker_that_knows_users_by_id_is_asked_for_the_user_and_for_nobody_of_newcomers() -> None:
    parts = SmallRecommender().parts
    recommender = Recommender(replace(parts, two_stage=replace(parts.two_stage, ranker=_ById())))
    known = recommender.users.ids[2].as_py()
    number = recommender.users.number(known)
    fresh = [recommender.items.ids[0].as_py()]
    for user, expected in ((known, number), (None, 0)):
        found = recommender.recommend(user, 3, history=fresh)
        assert {int(place.score) for place in found} == {expected}
