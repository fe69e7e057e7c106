"""Pair features: hand-worked values, and that nothing but the history is looked at."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.history import recency_weights, uniform_weights
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import cosine_neighbours, ease_weights
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.features.times import DAY_S, WINDOWS_DAYS
from belfry.ranking.listwise.config import PairFeaturesConfig

NOTHING = FeatureColumns()
CONFIG = PairFeaturesConfig(n_neighbours=4, shrink=1.0)
START_S = 1_700_000_000


def random_world(n_users: int = 30, n_items: int = 20, n_events: int = 300, seed: int = 0) -> FeatureTables:
    """Every kind of column; each pair once, the last user without an event."""
    generator = np.random.default_rng(seed)
    cells = generator.permutation((n_users - 1) * n_items)[:n_events]
    users, items = cells // n_items + 1, cells % n_items + 1
    rating = generator.integers(1, 6, n_events).astype(np.float32)
    rating[generator.random(n_events) < 0.3] = np.nan
    table = pa.table(
        {
            "user_id": [*users, n_users],
            "item_id": [*items, 1],
            "timestamp_s": START_S + generator.integers(0, 60 * DAY_S, n_events + 1),
            "rating": pa.array([*rating, np.nan], pa.float32()),
        }
    )
    everybody = Interactions.from_table(table)
    assert (len(everybody.users), len(everybody.items)) == (n_users, n_items)
    user_columns = FeatureColumns(
        categorical={"group": np.append(0, generator.integers(0, 4, n_users)).astype(np.int32)},
        numeric={"age": np.append(0, generator.normal(size=n_users)).astype(np.float32)},
        sizes={"group": 4},
    )
    genres = generator.integers(0, 6, (n_items + 1, 3)).astype(np.int32)
    genres[0] = 0
    item_columns = FeatureColumns(
        categorical={"country": np.append(0, generator.integers(0, 3, n_items)).astype(np.int32)},
        numeric={"year": np.append(0, generator.normal(size=n_items)).astype(np.float32)},
        multi_valued={"genres": genres},
        sizes={"country": 3, "genres": 6},
    )
    return FeatureTables(everybody.select(np.arange(n_events)), user_columns, item_columns)


def candidates_for(features: FeatureTables, users: list[int], *, n: int = 8, seed: int = 1) -> Candidates:
    """`n` random items and scores for each."""
    generator = np.random.default_rng(seed)
    n_items = len(features.history.items)
    items = np.concatenate([generator.permutation(n_items)[:n] + 1 for _ in users]).astype(np.int32)
    scores = generator.normal(size=len(items)).astype(np.float32)
    rows = np.repeat(np.arange(len(users)), n)
    return take_top_k(np.array(users, np.int32), rows, items, scores, top_k=n, origins=("test",))


def matrix_of(
    features: FeatureTables, candidates: Candidates, config: PairFeaturesConfig = CONFIG
) -> dict[str, np.ndarray]:
    """Column by name."""
    pair_features = PairFeatures.fit(features, config)
    matrix = pair_features.matrix(candidates, features)
    names = pair_features.names(features)
    assert matrix.shape == (len(candidates), len(names))
    assert matrix.dtype == np.float32
    assert len(set(names)) == len(names)
    return dict(zip(names, matrix.T, strict=True))


# What the sources said.


def test_columns_of_the_sources() -> None:
    """A row that a source did not bring comes behind its list; one that brought nothing says nothing."""
    world = random_world()
    candidates = candidates_for(world, [4, 9], n=3)
    nan = np.nan
    score = np.array([[5, 1, nan], [4, nan, nan], [2, 3, nan], [nan, nan, nan], [7, nan, nan], [6, 2, nan]], np.float32)
    rank = np.array([[1, 2, 0], [2, 0, 0], [9, 1, 0], [0, 0, 0], [1, 0, 0], [2, 1, 0]], np.int32)
    many = replace(candidates, origins=("towers", "popularity", "ease"), source_score=score, source_rank=rank)
    pair_features = PairFeatures.fit(world, CONFIG)
    names = pair_features.names(world, many.sources)
    columns = dict(zip(names, pair_features.matrix(many, world).T, strict=True))
    assert columns["score_towers"].tolist() == [5, 4, 2, 6, 7, 6]
    assert columns["score_popularity"].tolist() == [1, 1, 3, 2, 2, 2]
    assert columns["score_ease"].tolist() == [0] * 6
    ranks = {name: np.expm1(columns[f"log_rank_in_{name}"]).round(4).tolist() for name in many.sources}
    assert ranks == {"towers": [1, 2, 9, 3, 1, 2], "popularity": [2, 3, 1, 2, 2, 1], "ease": [1] * 6}
    plain = matrix_of(world, candidates)
    assert len(set(names)) == len(names) == len(plain) + 6
    for name, column in plain.items():
        np.testing.assert_array_equal(columns[name], column, err_msg=name)


def test_nobody_asked_and_many_sources() -> None:
    world = random_world()
    nobody = candidates_for(world, [1]).select(np.zeros(0, np.int64))
    nothing = np.zeros((0, 2), np.float32)
    many = replace(nobody, origins=("a", "b"), source_score=nothing, source_rank=nothing.astype(np.int32))
    pair_features = PairFeatures.fit(world, CONFIG)
    assert pair_features.matrix(many, world).shape == (0, len(pair_features.names(world, ("a", "b"))))


# What may be looked at.


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
        np.testing.assert_array_equal(pair_features.matrix(alone, world), block[rows])


def test_rows_of_a_list_in_another_order() -> None:
    """Columns follow their rows, but for `log_rank_*` where values are tied: those go by the order of the rows."""
    world = random_world()
    candidates = candidates_for(world, [4, 9], n=20)
    order = np.concatenate([np.random.default_rng(2).permutation(20), 20 + np.random.default_rng(3).permutation(20)])
    straight, turned = (matrix_of(world, rows) for rows in (candidates, candidates.select(order)))
    for name, column in straight.items():
        if name.startswith("log_rank_"):
            values = straight[name.removeprefix("log_rank_")]
            tied = np.array([(values[row // 20 * 20 : row // 20 * 20 + 20] == values[row]).sum() > 1 for row in order])
            np.testing.assert_array_equal(turned[name][~tied], column[order][~tied], err_msg=name)
        else:
            np.testing.assert_allclose(turned[name], column[order], atol=1e-5, err_msg=name)


def test_saved_arrays_give_the_same_matrix() -> None:
    world = random_world()
    fitted = PairFeatures.fit(world, CONFIG)
    candidates = candidates_for(world, [1, 2, 30])
    again = PairFeatures(CONFIG, {name: array.copy() for name, array in fitted.arrays.items()})
    np.testing.assert_array_equal(again.matrix(candidates, world), fitted.matrix(candidates, world))
    assert all(array.dtype != object for array in fitted.arrays.values())


# Groups of columns that the data lack.


def test_ids_alone() -> None:
    table = pa.table({"user_id": [1, 1, 2, 2, 3, 4], "item_id": [1, 2, 1, 2, 3, 1]})
    features = FeatureTables(Interactions.from_table(table), NOTHING, NOTHING)
    columns = matrix_of(features, candidates_for(features, [0, 1, 3], n=3))
    assert all(np.isfinite(column).all() for column in columns.values())
    assert {"score", "log_rank", "cosine_uniform", "cosine_recency", "ease_uniform", "popularity"} <= columns.keys()
    assert not [name for name in columns if name.startswith(("near_", "lift_", "item", "user", "segment", "idle"))]


def test_a_history_whose_ratings_are_all_missing_keeps_their_columns() -> None:
    """Part of a table that has ratings elsewhere: they say nothing, and the features are those of the other parts."""
    world = random_world()
    unrated = replace(world.history, rating=np.full(len(world.history), np.nan, np.float32))
    columns = matrix_of(FeatureTables(unrated, world.users, world.items), candidates_for(world, [1, 30]))
    assert columns.keys() == matrix_of(world, candidates_for(world, [1])).keys()
    for name in ("item_rating", "user_rating", "cosine_rated", "ease_rated"):
        assert not columns[name].any(), name


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


def test_large_catalogues_do_without_ease() -> None:
    world = random_world()
    config = CONFIG.model_copy(update={"ease_max_items": 19})
    assert not [name for name in matrix_of(world, candidates_for(world, [1]), config) if "ease" in name]


def test_user_columns_of_many_categories_make_no_segments() -> None:
    world = random_world()
    config = CONFIG.model_copy(update={"max_categories": 3})
    assert "segment.group" not in matrix_of(world, candidates_for(world, [1]), config)


@pytest.mark.parametrize("request_time", ["user_last", "history_end"])
def test_a_user_without_a_history(request_time: str) -> None:
    """User 30 and the unknown user: finite, affinities 0, the moment that of the history's end."""
    world = random_world()
    config = PairFeaturesConfig(request_time=request_time)
    columns = matrix_of(world, candidates_for(world, [30, 0]), config)
    assert all(np.isfinite(column).all() for column in columns.values())
    for name in (
        "cosine_uniform",
        "cosine_recency",
        "cosine_nearest",
        "ease_uniform",
        "cosine_rated",
        "category.genres.uniform",
    ):
        assert not columns[name].any(), name
    for name in ("history_length", "history_popularity", "user_rating", "idle_days"):
        assert not columns[name].any(), name
    assert world.history.timestamp_s is not None
    naive = naive_near(world, candidates_for(world, [30, 0]).item_num, int(world.history.timestamp_s.max()), 3)
    np.testing.assert_allclose(columns["near_3d"], np.log1p(naive), rtol=1e-6)


def test_nobody_asked() -> None:
    world = random_world()
    pair_features = PairFeatures.fit(world, CONFIG)
    none = candidates_for(world, [1]).select(np.zeros(8, np.bool_))
    assert pair_features.matrix(none, world).shape == (0, len(pair_features.names(world)))


# Values.


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
    expected = {
        "score": [0.5, 0.25],
        "log_rank": np.log([2, 3]),
        "popularity": np.log([2, 3]),  # one user, two users
        "history_length": np.log([3, 3]),
        "history_popularity": [(np.log(3) + np.log(4)) / 2] * 2,  # of items 1 and 2
        # Only item 2 is near item 3 (user 3), and near item 1 (users 1 and 2); it weighs 1 / sqrt(2).
        "cosine_uniform": np.array([1 / np.sqrt(3), 2 / np.sqrt(6)]) / np.sqrt(2),
        # Of weights 1 and 1/2, scaled to unit length, item 2, the newer, has 1 / sqrt(1.25).
        "cosine_recency": np.array([1 / np.sqrt(3), 2 / np.sqrt(6)]) / np.sqrt(1.25),
        "cosine_nearest": [1 / np.sqrt(3), 2 / np.sqrt(6)],
        # User 1's mean is 3, so item 2 is rated one above it.
        "cosine_rated": np.array([1 / np.sqrt(3), 2 / np.sqrt(6)]) / np.sqrt(2),
        "user_rating": [3, 3],
        # Means are 3, 5 and 2. Item 3: 3 - 2 = 1 by one user; item 1: 2 - 3 = -1 by one user; shrunk by five.
        "item_rating": [1 / 6, -1 / 6],
        # The moment is day 10, user 1's last. Item 3 was watched on day 9, item 1 on days 0 and 1.
        "near_1d": np.log([2, 1]),
        "near_3d": np.log([2, 1]),
        "near_10d": np.log([2, 3]),
        "item_age": np.log([1 + 1, 1 + 10]),
        "idle_days": [0, 0],
        # Share of item 3: (1 + 1) / (6 + 4), of item 1: 3 / 10; of the day, days 9 and 10: 2 events.
        "lift_1d": np.log([2 / 6, 1 / 6]) - np.log([2 / 10, 3 / 10]),
        "standard_score": [1, -1],
        "log_rank_score": np.log([1, 2]),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def world() -> FeatureTables:
    return random_world()


@pytest.fixture(scope="module")
def asked(world: FeatureTables) -> Candidates:
    return candidates_for(world, list(range(1, 30)), n=12)


@pytest.fixture(scope="module")
def columns(world: FeatureTables, asked: Candidates) -> dict[str, np.ndarray]:
    return matrix_of(world, asked)


def profiles(world: FeatureTables, kind: str) -> np.ndarray:
    """[n_users + 1, n_items + 1] every user's weights, from the history's own functions."""
    profile = np.zeros((len(world.history.users) + 1, len(world.history.items) + 1))
    for user in range(1, len(profile)):
        rows = world.history.by_user.of(user)
        counts = np.array([len(rows)])
        weights = uniform_weights(counts) if kind == "uniform" else recency_weights(counts, CONFIG.half_life)
        profile[user, world.history.item_num[rows]] = weights
    return profile


@pytest.mark.parametrize("kind", ["uniform", "recency"])
def test_affinities_are_products_with_the_item_similarities(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], kind: str
) -> None:
    neighbours = cosine_neighbours(world.history.matrix, n_neighbours=4, shrink=1.0)  # row i: the neighbours of i
    assert np.diff(neighbours.indptr).max() == 4
    cells = (asked.user_num, asked.item_num)
    cosine = profiles(world, kind) @ neighbours.T.toarray()
    np.testing.assert_allclose(columns[f"cosine_{kind}"], cosine[cells], rtol=1e-5, atol=1e-6)
    ease = profiles(world, kind) @ ease_weights(world.history.matrix, l2=CONFIG.ease_l2 * np.sqrt(30))
    np.testing.assert_allclose(columns[f"ease_{kind}"], ease[cells], rtol=1e-4, atol=1e-6)
    if kind == "uniform":
        watched = profiles(world, kind) > 0
        nearest = (watched[:, None, :] * neighbours.toarray()[None]).max(axis=2)
        np.testing.assert_allclose(columns["cosine_nearest"], nearest[cells], rtol=1e-6)


def test_rated_affinities_weigh_by_the_rating_above_the_users_mean(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    history = world.history
    assert history.rating is not None
    profile = profiles(world, "uniform")
    for user in range(1, 30):
        rows = history.by_user.of(user)
        above = history.rating[rows] - np.nanmean(history.rating[rows])
        profile[user, history.item_num[rows]] *= np.nan_to_num(above)
    ease = profile @ ease_weights(history.matrix, l2=CONFIG.ease_l2 * np.sqrt(30))
    np.testing.assert_allclose(columns["ease_rated"], ease[asked.user_num, asked.item_num], rtol=1e-4, atol=1e-5)


def naive_near(world: FeatureTables, items: np.ndarray, request_s: int, days: int) -> list[int]:
    history = world.history
    assert history.timestamp_s is not None
    is_near = np.abs(history.timestamp_s - request_s) <= days * DAY_S
    return [int((is_near & (history.item_num == item)).sum()) for item in items]


@pytest.mark.parametrize("request_time", ["user_last", "history_end"])
def test_windows_are_counts_of_events_near_the_request(
    world: FeatureTables, asked: Candidates, request_time: str
) -> None:
    columns = matrix_of(world, asked, CONFIG.model_copy(update={"request_time": request_time}))
    history = world.history
    assert history.timestamp_s is not None
    for place, user in enumerate(asked.users):
        rows = slice(*asked.starts[place : place + 2])
        last_s = int(history.timestamp_s[history.user_num == user].max())
        request_s = last_s if request_time == "user_last" else world.now_s
        items = asked.item_num[rows]
        for days in WINDOWS_DAYS:
            near = np.array(naive_near(world, items, request_s, days))
            np.testing.assert_allclose(columns[f"near_{days}d"][rows], np.log1p(near), rtol=1e-6)
            n_all = int((np.abs(history.timestamp_s - request_s) <= days * DAY_S).sum())
            share = (history.item_counts[items] + 1) / (len(history) + 21)
            expected = np.log((near + 1) / (n_all + 21) / share)
            np.testing.assert_allclose(columns[f"lift_{days}d"][rows], expected, rtol=1e-4, atol=1e-5)
        first_s = np.array([history.timestamp_s[history.item_num == item].min() for item in items])
        age = (request_s - first_s) / DAY_S
        np.testing.assert_allclose(columns["item_age"][rows], np.sign(age) * np.log1p(abs(age)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(columns["idle_days"][rows], np.log1p((request_s - last_s) / DAY_S), rtol=1e-5)


def test_segment_lift(world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    group_of = world.users.categorical["group"]
    share = (world.history.item_counts + 1) / (len(world.history) + 21)
    lifts = columns["segment.group"]
    for row, (user, item) in enumerate(zip(asked.user_num, asked.item_num, strict=True)):
        in_group = group_of[world.history.user_num] == group_of[user]
        n = (in_group & (world.history.item_num == item)).sum()
        expected = np.log((n + 20 * share[item]) / ((in_group.sum() + 20) * share[item])) if group_of[user] else 0
        assert lifts[row] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert (lifts[group_of[asked.user_num] == 0] == 0).all()
    assert (group_of[asked.user_num] == 0).any()


def test_item_and_user_rating(world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    history = world.history
    assert history.rating is not None
    rated = np.isfinite(history.rating)
    means = {user: history.rating[rated & (history.user_num == user)].mean() for user in asked.users}
    for row, (user, item) in enumerate(zip(asked.user_num, asked.item_num, strict=True)):
        about = rated & (history.item_num == item)
        above = [history.rating[event] - means[history.user_num[event]] for event in np.flatnonzero(about)]
        assert columns["item_rating"][row] == pytest.approx(np.sum(above) / (len(above) + 5), rel=1e-4, abs=1e-5)
        assert columns["user_rating"][row] == pytest.approx(means[user], rel=1e-5)


def test_features_of_user_and_item(world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(columns["user.age"], world.users.numeric["age"][asked.user_num])
    year = world.items.numeric["year"]
    np.testing.assert_array_equal(columns["item.year"], year[asked.item_num])
    means = [year[world.history.item_num[world.history.user_num == user]].mean() for user in asked.user_num]
    np.testing.assert_allclose(columns["distance.year"], abs(year[asked.item_num] - means), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["genres", "country"])
def test_category_lift(world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], name: str) -> None:
    """Mean over a candidate's categories of their share in the history less that in the catalogue's watches."""
    values = {**world.items.multi_valued, "country": world.items.categorical["country"][:, None]}[name]
    n = world.items.sizes[name]

    def shares(items: np.ndarray) -> np.ndarray:
        counts = np.bincount(values[items].ravel(), minlength=n)[1:]
        return np.append(0, counts / counts.sum())

    background = shares(world.history.item_num)
    for row, (user, item) in enumerate(zip(asked.user_num, asked.item_num, strict=True)):
        lift = shares(world.history.item_num[world.history.user_num == user]) - background
        mine = values[item][values[item] > 0]
        expected = lift[mine].mean() if len(mine) else 0
        assert columns[f"category.{name}.uniform"][row] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_context_is_of_the_list(asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    for place in range(len(asked.users)):
        rows = slice(*asked.starts[place : place + 2])
        score = asked.score[rows]
        np.testing.assert_allclose(columns["standard_score"][rows], (score - score.mean()) / score.std(), atol=1e-5)
        np.testing.assert_allclose(columns["log_rank_score"][rows], np.log1p(np.arange(12)), rtol=1e-6)


def test_only_the_newest_of_a_long_history_count() -> None:
    world = random_world()
    config = CONFIG.model_copy(update={"max_history": 3})
    candidates = candidates_for(world, [1, 2])
    columns = matrix_of(world, candidates, config)
    assert columns["history_length"].tolist() == pytest.approx([np.log(4)] * 16)
