import hashlib
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources import demo, demo_films
from belfry.dataset.split import split_random

SMALL = {"n_users": 150, "n_items": 200, "n_watches": 3_000}


@pytest.fixture(scope="module")
def world():
    return demo.generate_world()


@pytest.fixture(scope="module")
def watches(world):
    """Interactions as pandas, with the positions of users and items beside their ids."""
    watches = world.tables.interactions.to_pandas()
    return watches.assign(
        user=watches["user_id"] - demo.FIRST_USER_ID,
        item=watches["item_id"] - demo_films.FIRST_ITEM_ID,
        period=(watches["timestamp_s"] - demo_films.START_S) // demo_films.PERIOD_S,
    )


def fingerprint(tables):
    digest = hashlib.sha256()
    for table in (tables.interactions, tables.items, tables.users):
        digest.update(table.to_pandas().to_json().encode())
    return digest.hexdigest()


def test_tables_have_the_columns_of_the_contract(world):
    tables = world.tables
    assert tables.interactions.schema == pa.schema(
        {"user_id": pa.int64(), "item_id": pa.int64(), "rating": pa.float32(), "timestamp_s": pa.int64()}
    )
    assert tables.items.schema == pa.schema(
        {"item_id": pa.int64(), "title": pa.string(), "genres": pa.list_(pa.string()), "release_year": pa.int64()}
    )
    assert tables.users.schema == pa.schema(
        {"user_id": pa.int64(), "age": pa.int64(), "gender": pa.string(), "occupation": pa.string()}
    )
    assert tables.text_columns == ("title",)
    assert (tables.users.num_rows, tables.items.num_rows) == (800, 1_000)
    assert abs(tables.interactions.num_rows - 50_000) < 4_000


def test_equal_seeds_give_equal_tables_in_every_process():
    code = (
        "from belfry.dataset.sources import demo; from tests.dataset.test_demo import fingerprint, SMALL;"
        "print(fingerprint(demo.generate(**SMALL, seed=3)))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "17", "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint(demo.generate(**SMALL, seed=3))
    assert other.stdout.strip() != fingerprint(demo.generate(**SMALL, seed=4))


def test_more_watches_leave_users_and_films_as_they_are():
    few, many = demo.generate(**SMALL), demo.generate(**SMALL | {"n_watches": 6_000})
    assert many.interactions.num_rows > 1.5 * few.interactions.num_rows
    assert many.users.equals(few.users) and many.items.equals(few.items)
    assert demo.generate(**SMALL | {"n_users": 10}).items.equals(few.items)


def test_nobody_watches_a_film_twice_or_before_its_release(world, watches):
    assert not watches.duplicated(["user", "item"]).any()
    assert (world.catalogue.release_s[watches["item"]] <= watches["timestamp_s"]).all()


def test_chunks_keep_the_promises(monkeypatch):
    monkeypatch.setattr(demo, "WATCHES_PER_CHUNK", 700)
    tables = demo.generate(**SMALL)
    watches = tables.interactions.to_pandas()
    assert abs(len(watches) - 3_000) < 400
    assert not watches.duplicated(["user_id", "item_id"]).any()
    assert set(watches["user_id"]) == set(tables.users["user_id"].to_pylist())


def test_popularity_has_a_long_tail(watches):
    counts = np.sort(watches["item"].value_counts().to_numpy())[::-1]
    assert counts[:100].sum() > 0.3 * len(watches)
    assert np.median(counts) < counts[0] / 8


def test_fresh_films_are_watched_more(world, watches):
    release = (world.catalogue.release_s - demo_films.START_S) // demo_films.PERIOD_S
    # Films out for at least 20 of the world's periods, and users who are there all along.
    young = (release >= 4) & (release <= 30)
    age = watches["period"] - release[watches["item"]]
    in_view = young[watches["item"]] & (
        world.people.first_s[watches["user"]] < demo_films.START_S + 4 * demo_films.PERIOD_S
    )
    assert (in_view & (age < 4)).sum() > 1.5 * (in_view & (age >= 12) & (age < 16)).sum()


def test_titles_are_unique_and_end_in_the_year(world):
    items = world.tables.items.to_pandas()
    assert items["title"].is_unique
    assert items["title"].str.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+( \d+)? \(\d{4}\)").all()
    assert (items["title"].str[-5:-1].astype(int) == items["release_year"]).all()
    assert items["genres"].map(len).between(1, 3).all()


def test_most_watches_are_unrated_and_ratings_follow_the_truth(world, watches):
    rated = watches.dropna(subset="rating")
    assert 0.65 < 1 - len(rated) / len(watches) < 0.75
    assert set(rated["rating"]) == set(np.arange(1, 5.5, 0.5))
    assert 3 < rated["rating"].mean() < 4
    genres = world.catalogue.genres[rated["item"]]
    shares = demo.genre_shares_at(world.people, rated["user"].to_numpy(), rated["timestamp_s"].to_numpy())
    for cause in (
        world.people.bias[rated["user"]],
        world.catalogue.quality[rated["item"]],
        np.log((shares * genres).sum(axis=1) / genres.sum(axis=1)),
    ):
        assert np.corrcoef(cause, rated["rating"])[0, 1] > 0.25


def test_watches_follow_genre_shares_as_they_drift(world, watches):
    shares = world.people.genre_shares[watches["user"]]  # [n_watches, first and last day, n_genres]
    genres = world.catalogue.genres[watches["item"]]
    fit = (shares * genres[:, None, :]).sum(axis=2) / genres.sum(axis=1, keepdims=True)
    early, late = (watches["period"] < 10).to_numpy(), (watches["period"] >= 42).to_numpy()
    assert fit[early, 0].mean() > 1.1 * fit[early, 1].mean()
    assert fit[late, 1].mean() > 1.1 * fit[late, 0].mean()


def test_columns_of_users_explain_a_little_of_their_genre_shares(world):
    occupation = world.tables.users["occupation"].to_numpy(zero_copy_only=False)
    logits = np.log(world.people.genre_shares[:, 0])

    def explained(labels):
        means = {label: logits[labels == label].mean(axis=0) for label in set(labels)}
        return np.var([means[label] for label in labels], axis=0).sum() / np.var(logits, axis=0).sum()

    by_chance = explained(np.random.default_rng(0).permutation(occupation))
    assert 2 * by_chance < explained(occupation) < 0.3


def watch_probability(world, users, timestamp_s):
    """[n, n_items] the true probability of each film, given that `users[i]` watches one at `timestamp_s[i]`.

    Films already watched are not taken out.
    """
    films = world.catalogue
    genres = demo.genre_shares_at(world.people, users, timestamp_s)
    shelf_shares = (genres[:, :, None] * world.people.mood_shares[users][:, None, :]).reshape(len(users), -1)
    copy_shelf = np.repeat(np.arange(shelf_shares.shape[1]), np.diff(films.shelf_starts))
    periods = (timestamp_s - demo_films.START_S) // demo_films.PERIOD_S
    probability = np.zeros((len(users), len(films.mood)), np.float32)
    for period in np.unique(periods):
        first = period * len(films.copy_item)
        reach = np.diff(films.reach_sum[first : first + len(films.copy_item) + 1])
        shelf_reach = np.bincount(copy_shelf, reach, minlength=shelf_shares.shape[1])
        on_shelf = np.zeros((shelf_shares.shape[1], len(films.mood)), np.float32)
        on_shelf[copy_shelf, films.copy_item] = reach / np.where(shelf_reach, shelf_reach, 1)[copy_shelf]
        probability[periods == period] = shelf_shares[periods == period] @ on_shelf
    # Shelves still empty at that time are skipped.
    return np.asarray(probability / probability.sum(axis=1, keepdims=True), np.float32)


def test_watch_probability_is_a_distribution_over_released_films(world):
    users = np.arange(40)
    timestamp_s = np.linspace(demo_films.START_S, demo_films.START_S + 700 * demo_films.DAY_S, 40).astype(np.int64)
    probability = watch_probability(world, users, timestamp_s)
    assert probability.shape == (40, 1_000)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    is_out = world.catalogue.release_s <= timestamp_s[:, None]
    assert (probability[~is_out] == 0).all() and (probability[is_out] >= 0).all()
    np.testing.assert_array_equal(watch_probability(world, users[7:8], timestamp_s[7:8])[0] > 0, probability[7] > 0)


def test_first_watches_come_with_their_true_probability(world, watches):
    """A user's first watch has no repetition taken out: its probability must be what a draw by it would get."""
    first = watches.drop_duplicates("user")
    probability = watch_probability(world, first["user"].to_numpy(), first["timestamp_s"].to_numpy())
    of_watched = probability[np.arange(len(first)), first["item"]].mean()
    assert of_watched == pytest.approx((probability**2).sum(axis=1).mean(), rel=0.25)


def test_models_can_be_told_apart(world):
    """Random << popularity << ItemKNN < the truth, by NDCG@10 over all unseen films of a random split."""
    split = split_random(Interactions.from_table(world.tables.interactions), seed=0)
    history = split.train.matrix.toarray()
    together = history.T @ history
    norms = np.sqrt(np.maximum(np.diag(together), 1))
    similarity = together / np.outer(norms, norms)
    np.fill_diagonal(similarity, 0)

    random = ndcg_at_10(np.random.default_rng(0).random(history.shape), split)
    popularity = ndcg_at_10(np.broadcast_to(history.sum(axis=0), history.shape), split)
    item_knn = ndcg_at_10(history @ similarity, split)
    truth = ndcg_at_10(true_scores(world, split), split)

    assert random < 0.03
    assert popularity > random + 0.08
    assert item_knn > popularity + 0.06
    assert truth > item_knn + 0.1


def true_scores(world, split):
    """[n_users + 1, n_items + 1] probability of a watch, averaged over times in each user's own history."""
    rows, items = split.train.by_user, split.train.items
    users = np.arange(1, len(split.train.users) + 1)
    user = split.train.users.take(users).to_numpy() - demo.FIRST_USER_ID
    item = items.take(np.arange(1, len(items) + 1)).to_numpy() - demo_films.FIRST_ITEM_ID
    scores = np.zeros((len(users) + 1, len(items) + 1))
    for place in np.linspace(0, 1, 5):
        row = rows.order[rows.starts[users] + (place * (np.diff(rows.starts)[users] - 1)).astype(int)]
        scores[1:, 1:] += watch_probability(world, user, split.train.timestamp_s[row])[:, item]
    return scores


def ndcg_at_10(scores, split):
    """Mean over users with test watches; films of the history are out, as is the unknown one."""
    seen = split.train.matrix.toarray() > 0
    seen[:, 0] = True
    wanted = (split.test.matrix.toarray() > 0) & ~seen
    top = np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")[:, :10]
    discounts = 1 / np.log2(np.arange(2, 12))
    gains = (np.take_along_axis(wanted, top, axis=1) * discounts).sum(axis=1)
    ideal = np.concatenate([[0], np.cumsum(discounts)])[np.minimum(wanted.sum(axis=1), 10)]
    return float((gains[ideal > 0] / ideal[ideal > 0]).mean())


@pytest.mark.parametrize("size", ["n_users", "n_items", "n_watches"])
def test_refuses_an_empty_world(size):
    with pytest.raises(InputError, match=f"{size}=0.*each must be at least 1"):
        demo.generate(**{size: 0})
