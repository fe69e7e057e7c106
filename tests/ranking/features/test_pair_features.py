"""PairFeatures: hand-worked values, and that nothing but the history is looked at."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.ranking.features.base import FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.groups.times import DAY_S
from belfry.ranking.features.pair_features import GROUPS, PairFeatures
from tests.ranking.features.world import (
    CONFIG,
    NOTHING,
    START_S,
    candidates_for,
    matrix_of,
    naive_near,
    random_world,
    with_impressions,
)

NEIGHBOURS = (
    *("cosine_recency", "bm25_recency", "bm25_uniform"),
    *("rules_half_life_0.5", "rules_half_life_2", "rules_half_life_20", "rules_second_newest", "rules_third_newest"),
    "next_newest",
    *("cooccurrence_uniform", "cooccurrence_recency"),
)


@pytest.mark.parametrize("request_time", ["user_last", "history_end"])
def test_what_is_held_back_changes_nothing(request_time: str) -> None:
    world = random_world()
    config = PairFeaturesConfig(request_time=request_time, n_neighbours=4)
    everything = world.history
    assert everything.timestamp_s is not None
    assert everything.rating is not None
    is_later = everything.timestamp_s > np.quantile(everything.timestamp_s, 0.7)
    other = replace(
        everything,
        item_num=np.where(is_later, everything.item_num[::-1], everything.item_num),
        user_num=np.where(is_later, everything.user_num[::-1], everything.user_num),
        timestamp_s=np.where(is_later, everything.timestamp_s + 90 * DAY_S, everything.timestamp_s),
        rating=np.where(is_later, np.float32(5), everything.rating),
    )
    gone = everything.select(~is_later)
    candidates = candidates_for(world, [1, 2, 3, 30])
    matrices = []
    for history in (everything.select(~is_later), other.select(~is_later), gone):
        features = FeatureTables(history, world.users, world.items)
        pair_features = PairFeatures.fit(features, config)
        matrices.append(pair_features.matrix(candidates, features))
    np.testing.assert_array_equal(matrices[0], matrices[1])
    np.testing.assert_array_equal(matrices[0], matrices[2])
    whole = PairFeatures.fit(world, config).matrix(candidates, world)
    assert not np.array_equal(matrices[0], whole)  # else the test could not see a leak


@pytest.mark.parametrize("users", [[3, 0, 30, 1], [30], [0]])
def test_one_list_alone_equals_its_block(users: list[int]) -> None:
    world = random_world()
    pair_features = PairFeatures.fit(world, CONFIG)
    many = candidates_for(world, users)
    block = pair_features.matrix(many, world)
    for place, user in enumerate(users):
        rows = slice(*many.starts[place : place + 2])
        alone = replace(
            many.select(np.arange(len(many))[rows]), users=np.array([user], np.int32), row_user=np.zeros(8, np.int64)
        )
        np.testing.assert_allclose(pair_features.matrix(alone, world), block[rows], rtol=1e-5, atol=1e-6)


def test_rows_of_a_list_in_another_order() -> None:
    world = random_world()
    candidates = candidates_for(world, [4, 9], n=20)
    order = np.concatenate([np.random.default_rng(2).permutation(20), 20 + np.random.default_rng(3).permutation(20)])
    straight, turned = (matrix_of(world, rows) for rows in (candidates, candidates.select(order)))
    for name, column in straight.items():
        np.testing.assert_allclose(turned[name], column[order], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("name", "size"), [("_USERS_PER_BLOCK", 2), ("_CELLS_PER_BLOCK", 80), ("_CELLS_PER_BLOCK", 1)])
def test_blocks_of_users_give_the_rows_of_one_block(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    """Two users a block, or three, whose lists of 8 fill 72 of 80 cells at most, or one."""
    world = random_world()
    pair_features = PairFeatures.fit(world, CONFIG)
    candidates = candidates_for(world, [3, 0, 30, 1, 9])
    rows = candidates.row_user != 1  # user 0 is asked for and has no candidates
    whole = pair_features.matrix(candidates.select(rows), world)
    monkeypatch.setattr(f"belfry.ranking.features.pair_features.{name}", size)
    found = pair_features.matrix(candidates.select(rows), world)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)


def test_saved_arrays_give_the_same_matrix() -> None:
    world = random_world()
    fitted = PairFeatures.fit(world, CONFIG)
    candidates = candidates_for(world, [1, 2, 30])
    again = PairFeatures(CONFIG, {name: array.copy() for name, array in fitted.arrays.items()})
    np.testing.assert_array_equal(again.matrix(candidates, world), fitted.matrix(candidates, world))
    assert all(array.dtype != object for array in fitted.arrays.values())


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a row less": lambda array: array[:-1] if array.ndim else array[np.newaxis],
    "another axis": lambda array: array[..., np.newaxis],
    "another kind": lambda array: np.zeros(array.shape, np.int32 if array.dtype.kind in "fU" else np.float32),
    "NaN": lambda array: np.full(array.shape, np.nan, np.float32),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_arrays_of_another_form_are_refused(change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Before anybody's candidates are described, for some users would go well."""
    world = with_impressions(random_world())
    config = CONFIG.model_copy(update={"repeats": True})
    fitted = PairFeatures.fit(world, config)
    assert {group.name for group in fitted.groups} == {group.name for group in GROUPS} - {"vectors", "user_vectors"}
    fitted.columns(world)
    for name, array in fitted.arrays.items():
        is_free = name == "singular_vectors/sizes" and len(change(array)) < len(array)  # there may be any number
        if name != "groups" and not is_free:
            with pytest.raises(ArtifactError, match=f"pair features: {name.partition('/')[0]}.*train again"):
                PairFeatures(config, fitted.arrays | {name: change(array)}).columns(world)


def test_arrays_of_fewer_items_or_categories_than_the_run_are_refused() -> None:
    """Though whole in themselves."""
    world = random_world()
    fitted = PairFeatures.fit(world, CONFIG)
    for name in ("popularity/log_count", "segments/group", "categories/genres"):
        with pytest.raises(ArtifactError, match=r"is of \d+ (n_items|categories of .*), the run has \d+; train again"):
            PairFeatures(CONFIG, fitted.arrays | {name: fitted.arrays[name][:-1]}).columns(world)


def test_ids_alone() -> None:
    table = pa.table({"user_id": [1, 1, 2, 2, 3, 4], "item_id": [1, 2, 1, 2, 3, 1]})
    features = FeatureTables(Interactions.from_table(table), NOTHING, NOTHING)
    columns = matrix_of(features, candidates_for(features, [0, 1, 3], n=3))
    assert all(np.isfinite(column).all() for column in columns.values())
    assert {"score", "log_rank", "cosine_recency", "bm25_uniform", "ease_uniform", "popularity"} <= columns.keys()
    absent = ("near_", "lift_", "item", "user", "segment", "idle", "rules_", "next_")
    assert not [name for name in columns if name.startswith(absent)]


def test_columns_of_any_name_stand_beside_our_own() -> None:
    """An item column `age` is not the item's age; a user column `rating` is not the user's rating."""
    world = random_world()
    zeros = np.zeros(len(world.history.items) + 1, np.float32)
    items = replace(world.items, numeric={"age": zeros, "rating": zeros})
    users = replace(world.users, numeric={"rating": np.zeros(len(world.history.users) + 1, np.float32)})
    asked = candidates_for(world, [1, 2])
    plain, named = matrix_of(world, asked), matrix_of(FeatureTables(world.history, users, items), asked)
    for name in ("item_age", "item_rating", "user_rating"):
        np.testing.assert_array_equal(named[name], plain[name])
        assert plain[name].any()
    assert not named["item.age"].any()


@pytest.mark.parametrize("request_time", ["user_last", "history_end"])
def test_a_user_without_a_history(request_time: str) -> None:
    """User 30 and the unknown user: finite, affinities 0, the request time is the history's end."""
    world = random_world()
    config = PairFeaturesConfig(request_time=request_time)
    columns = matrix_of(world, candidates_for(world, [30, 0]), config)
    assert all(np.isfinite(column).all() for column in columns.values())
    for name in ("ease_uniform", "ease_recency", "category.genres.uniform", *NEIGHBOURS):
        assert not columns[name].any(), name
    for name in ("history_length", "history_popularity", "user_rating", "idle_days"):
        assert not columns[name].any(), name
    assert world.history.timestamp_s is not None
    naive, _ = naive_near(world, candidates_for(world, [30, 0]).item_num, int(world.history.timestamp_s.max()), 4, 256)
    np.testing.assert_allclose(columns["near_4"], np.log1p(naive), rtol=1e-6)


def test_nobody_asked() -> None:
    world = random_world()
    pair_features = PairFeatures.fit(world, CONFIG)
    none = candidates_for(world, [1]).select(np.zeros(8, np.bool_))
    assert pair_features.matrix(none, world).shape == (0, len(pair_features.names(world)))


def test_a_history_small_enough_to_work_by_hand() -> None:
    """Three users, three items; without shrinking, the cosines are 2 / sqrt(2 * 3) and 1 / sqrt(3).

    Item 1: users 1, 2; item 2: users 1, 2, 3; item 3: user 3. User 1 watched 1, then 2, and is asked about 3.
    """
    table = pa.table(
        {
            "user_id": [1, 1, 2, 2, 3, 3],
            "item_id": [1, 2, 1, 2, 2, 3],
            "timestamp_s": [START_S + day * DAY_S for day in (0, 10, 1, 2, 8, 9)],
            "rating": pa.array([2, 4, None, 5, 1, 3], pa.float32()),
        }
    )
    features = FeatureTables(Interactions.from_table(table), NOTHING, NOTHING)
    candidates = Candidates(
        users=np.array([1], np.int32),
        row_user=np.zeros(2, np.int64),
        item_num=np.array([3, 1], np.int32),
        score=np.array([0.5, 0.25], np.float32),
        rank=np.array([1, 2], np.int32),
        origin=np.zeros(2, np.int8),
        origins=("test",),
    )
    columns = matrix_of(features, candidates, PairFeaturesConfig(shrink=0, half_life=1))
    rarity = np.log1p(3 / (1 + np.array([0, 2, 3, 1])))  # of three users so many watched an item
    expected = {
        "score": [0.5, 0.25],
        "log_rank": np.log([2, 3]),
        "popularity": np.log([2, 3]),  # one user, two users
        "history_length": np.log([3, 3]),
        "history_popularity": [(np.log(3) + np.log(4)) / 2] * 2,  # of items 1 and 2
        # Item 2, the newest, weighs 1; it alone is near item 3 (user 3), and near item 1 (users 1 and 2).
        "cosine_recency": [1 / np.sqrt(3), 2 / np.sqrt(6)],
        # All histories are of mean length, so a watch counts (1 + k1) / (1 + k1) = 1 times its rarity.
        "bm25_recency": [rarity[2] * rarity[3], 2 * rarity[1] * rarity[2]],
        "bm25_uniform": [rarity[2] * rarity[3], 2 * rarity[1] * rarity[2]],
        # Item 3 came right after item 2 once (user 3), item 1 right before it twice, which counts half. Item 1, of
        # age 1, says nothing of item 3, nor of itself.
        "rules_half_life_2": [rarity[2] * rarity[3], 2 * 0.5 * rarity[1] * rarity[2]],
        "rules_second_newest": [0, 0],
        "next_newest": [rarity[2] * rarity[3], 0],
        "user_rating": [3, 3],
        # Means are 3, 5 and 2. Item 3: 3 - 2 = 1 by one user; item 1: 2 - 3 = -1 by one user; shrunk by five.
        "item_rating": [1 / 6, -1 / 6],
        # Every event begins a bin: days 0, 1, 2, 8, 9 and 10, which is the request time, user 1's last. Item 3 was
        # watched on day 9, item 1 on days 0 and 1.
        "near_1": np.log([2, 1]),
        "near_4": np.log([2, 2]),
        "near_16": np.log([2, 3]),
        "item_age": np.log([1 + 1, 1 + 10]),
        "idle_days": [0, 0],
        # Share of item 3: (1 + 1) / (6 + 4), of item 1: 3 / 10; of the last two bins: 2 events.
        "lift_1": np.log([2 / 6, 1 / 6]) - np.log([2 / 10, 3 / 10]),
        "standard_score": [1, -1],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


# Groups.


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
@pytest.mark.parametrize("users", [[4, 30, 0], []])
def test_a_group_computes_the_columns_that_it_names(group: type[FeatureGroup], users: list[int]) -> None:
    world = with_impressions(random_world())
    candidates = candidates_for(world, users or [1])
    candidates = candidates if users else candidates.select(np.zeros(0, np.int64))
    ((_, request),) = PairRequest.blocks(candidates, world, CONFIG, n_users=9)
    fitted = group(group.fit(world, CONFIG))
    columns = fitted.columns(world, candidates.sources)
    assert [len(values) for values in fitted.compute(request)] == [len(candidates)] * len(columns)
    assert all(column.about for column in columns)


def test_groups_have_names_of_their_own() -> None:
    names = [group.name for group in GROUPS]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "/" in name]


def test_the_order_of_the_columns_is_that_of_the_groups() -> None:
    """A seed gives the same ranker only as long as they stay in order; columns that are not named here are free."""
    world = random_world()
    placed = [
        *("score", "ease_uniform", "ease_recency", "svd_16", "svd_48", "ease_liked", "ease_disliked"),
        *NEIGHBOURS,
        "popularity",
        "near_4",
    ]
    expected = [
        *("score", "log_rank", "score_a", "log_rank_in_a", "score_b", "log_rank_in_b"),
        *("ease_uniform", "ease_recency", "svd_16", "svd_48", "ease_liked", "ease_disliked"),
        *NEIGHBOURS,
        *("popularity", "history_length", "history_popularity"),
        *("near_1", "lift_1", "near_4", "lift_4", "near_16", "lift_16", "item_age", "idle_days"),
        *("item_rating", "user_rating", "segment.group", "user.age", "item.year", "distance.year"),
        *("category.country.uniform", "category.country.recency"),
        *("category.genres.uniform", "category.genres.recency"),
        *(f"standard_{name}" for name in placed),
    ]
    names = PairFeatures.fit(world, CONFIG).names(world, ("a", "b"))
    assert [name for name in names if name in expected] == expected
