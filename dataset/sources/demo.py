"""The embedded data: a seeded world shaped like MovieLens, whose truth is known.

A watch is drawn in three steps: a genre by the user's genre shares at that time, a mood by their mood shares, and then
one of the films of that genre and mood that are already released, by popularity and freshness. A film already watched
is skipped. Moods are in no column: co-watching shows them, and the adjective of a title hints at them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.errors import InputError
from belfry.dataset.sources.demo_films import (
    FIRST_ITEM_ID,
    GENRE_LOGITS,
    GENRES,
    MOOD_ADJECTIVES,
    N_PERIODS,
    PERIOD_S,
    START_S,
    Catalogue,
    Floats,
    Seconds,
    make_catalogue,
    words,
)
from belfry.dataset.tables import Tables

OCCUPATIONS = words("student engineer teacher nurse artist clerk farmer lawyer retired programmer salesperson other")
SESSION_S = 6 * 3_600
WATCHES_PER_CHUNK = 500_000
FIRST_USER_ID = 1_001


@dataclass(frozen=True)
class People:
    """The users; genre shares move in a straight line from the world's first day to its last."""

    table: pa.Table
    genre_shares: Floats  # [n_users, 2, n_genres] on the first and on the last day
    mood_shares: Floats  # [n_users, n_moods]
    first_s: npt.NDArray[np.float64]  # [n_users] start of their time here
    span_s: npt.NDArray[np.float64]  # [n_users] length of it
    activity: npt.NDArray[np.float64]  # [n_users] share of all watches
    bias: Floats  # [n_users] added to each rating
    rated_share: Floats  # [n_users] of their watches


@dataclass(frozen=True)
class World:
    """Tables and the truth behind them; user and item positions are rows of `tables.users` and `tables.items`."""

    tables: Tables
    catalogue: Catalogue
    people: People


def generate(*, n_users: int = 800, n_items: int = 1_000, n_watches: int = 50_000, seed: int = 0) -> Tables:
    """The tables of a generated world with about `n_watches` watches; equal arguments give equal tables.

    Fewer, because nobody watches more than a third of all films; more, because everybody watches two at least. Another
    `n_watches` leaves users and films as they are, another `n_users` leaves the films.
    """
    return generate_world(n_users=n_users, n_items=n_items, n_watches=n_watches, seed=seed).tables


def generate_world(*, n_users: int = 800, n_items: int = 1_000, n_watches: int = 50_000, seed: int = 0) -> World:
    """As `generate`, with the truth behind the tables.

    Raises:
        InputError: a size is below 1.
    """
    if min(n_users, n_items, n_watches) < 1:
        raise InputError(f"demo: n_users={n_users}, n_items={n_items}, n_watches={n_watches}; each must be at least 1")
    films, items = make_catalogue(n_items, np.random.default_rng([seed, 0]))
    people = _make_people(n_users, np.random.default_rng([seed, 1]))
    n_wanted = np.clip(np.rint(people.activity * n_watches), 2, max(2, n_items // 3)).astype(np.int64)
    chunks = np.array_split(np.arange(n_users), -(-n_watches // WATCHES_PER_CHUNK))
    interactions = pa.concat_tables(
        _watch(films, people, users, n_wanted[users], np.random.default_rng([seed, 2, number]))
        for number, users in enumerate(chunks)
    )
    tables = Tables(interactions, items, people.table, text_columns=(columns.TITLE,))
    return World(tables, films, people)


def genre_shares_at(people: People, users: Positions, timestamp_s: Seconds) -> Floats:
    """[n, n_genres] genre shares of `users[i]` at `timestamp_s[i]`."""
    passed = ((timestamp_s - START_S) / (N_PERIODS * PERIOD_S)).astype(np.float32)[:, None]
    shares = people.genre_shares[users]
    return np.asarray((1 - passed) * shares[:, 0] + passed * shares[:, 1], np.float32)


def _make_people(n_users: int, rng: np.random.Generator) -> People:
    n_genres = len(GENRES)
    age = np.clip(rng.gamma(6, 6, n_users), 14, 85).astype(np.int64)
    gender = rng.integers(2, size=n_users)
    occupation = rng.integers(len(OCCUPATIONS), size=n_users)
    shared = (
        GENRE_LOGITS
        + rng.normal(0, 0.4, n_genres) * ((age - 36) / 15)[:, None]
        + rng.normal(0, 0.4, (2, n_genres))[gender]
        + rng.normal(0, 0.4, (len(OCCUPATIONS), n_genres))[occupation]
    )
    own = rng.normal(0, 1.4, (n_users, n_genres))
    later = 0.4 * own + 0.92 * rng.normal(0, 1.4, (n_users, n_genres))
    first = rng.random(n_users) ** 2 * 0.9
    activity = rng.lognormal(0, 0.8, n_users)
    table = pa.table(
        {
            columns.USER_ID: FIRST_USER_ID + np.arange(n_users),
            "age": age,
            "gender": np.array(["F", "M"])[gender].tolist(),
            "occupation": np.array(OCCUPATIONS)[occupation].tolist(),
        }
    )
    return People(
        table=table,
        genre_shares=np.stack([_softmax(shared + own), _softmax(shared + later)], axis=1),
        mood_shares=_softmax(rng.normal(0, 1.5, (n_users, len(MOOD_ADJECTIVES)))),
        first_s=START_S + first * N_PERIODS * PERIOD_S,
        span_s=(1 - first) * rng.uniform(0.4, 0.99, n_users) * N_PERIODS * PERIOD_S,
        activity=activity / activity.sum(),
        bias=rng.normal(0, 0.4, n_users).astype(np.float32),
        rated_share=rng.beta(0.9, 2.1, n_users).astype(np.float32),
    )


def _watch(
    films: Catalogue, people: People, users: Positions, n_wanted: Positions, rng: np.random.Generator
) -> pa.Table:
    """Up to `n_wanted` watches of different films for each of `users`, a user's oldest first."""
    n_draws = 3 * n_wanted + 8
    row = np.repeat(np.arange(len(users)), n_draws)  # [n_draws] position in `users`
    timestamp_s = _draw_times(people.first_s[users], people.span_s[users], n_wanted, row, rng)
    item, is_drawn = _draw_items(films, people, users, row, timestamp_s, rng)

    # Take draws until there are enough different films, then keep the earliest draw of each.
    kept = np.flatnonzero(is_drawn)
    is_new = _is_first(row[kept] * len(films.mood) + item[kept])
    n_different = np.cumsum(is_new)
    before = np.concatenate([[0], n_different])[np.searchsorted(row[kept], row[kept])]
    kept = kept[n_different - before <= n_wanted[row[kept]]]
    kept = kept[np.lexsort((timestamp_s[kept], row[kept]))]
    kept = kept[_is_first(row[kept] * len(films.mood) + item[kept])]

    user, item, timestamp_s = users[row[kept]], item[kept], timestamp_s[kept]
    rating = _draw_ratings(films, people, user, item, timestamp_s, rng)
    is_unrated = rng.random(len(user)) >= people.rated_share[user]
    return pa.table(
        {
            columns.USER_ID: FIRST_USER_ID + user,
            columns.ITEM_ID: FIRST_ITEM_ID + item,
            columns.RATING: pa.array(rating, mask=is_unrated),
            columns.TIMESTAMP_S: timestamp_s,
        }
    )


def _draw_times(
    first_s: npt.NDArray[np.float64],
    span_s: npt.NDArray[np.float64],
    n_wanted: Positions,
    row: Positions,
    rng: np.random.Generator,
) -> Seconds:
    """[n_draws] times in sessions (evenings) of about four watches."""
    n_sessions = n_wanted // 4 + 1
    session_s = np.repeat(first_s, n_sessions) + rng.random(n_sessions.sum()) * np.repeat(span_s, n_sessions)
    session = (np.cumsum(n_sessions) - n_sessions)[row] + rng.integers(n_sessions[row])
    return np.asarray(session_s[session] + rng.integers(SESSION_S, size=len(row)), np.int64)


def _draw_items(
    films: Catalogue, people: People, users: Positions, row: Positions, timestamp_s: Seconds, rng: np.random.Generator
) -> tuple[Positions, Mask]:
    """[n_draws] films by genre, mood, then reach; and whether the shelf chosen had a film at all."""
    n_genres, n_moods = len(GENRES), len(MOOD_ADJECTIVES)
    is_last_day = rng.random(len(row)) < (timestamp_s - START_S) / (N_PERIODS * PERIOD_S)
    genre = _choose(people.genre_shares[users].reshape(-1, n_genres), 2 * row + is_last_day, rng)
    shelf = genre * n_moods + _choose(people.mood_shares[users], row, rng)

    first_copy = (timestamp_s - START_S) // PERIOD_S * len(films.copy_item)
    low = films.reach_sum[first_copy + films.shelf_starts[shelf]]
    high = films.reach_sum[first_copy + films.shelf_starts[shelf + 1]]
    copy = np.searchsorted(films.reach_sum, low + rng.random(len(row)) * (high - low), side="right") - 1
    item = films.copy_item[copy % len(films.copy_item)]
    # The second half guards against a draw that rounds up to the end of its shelf.
    return item, (high > low) & (films.release_s[item] <= timestamp_s)


def _draw_ratings(
    films: Catalogue, people: People, user: Positions, item: Positions, timestamp_s: Seconds, rng: np.random.Generator
) -> Floats:
    """[n] from 1 to 5 in halves: 3.3 + user bias + film quality + 0.35 * match of user and genres + noise."""
    genres = films.genres[item]
    share = (genre_shares_at(people, user, timestamp_s) * genres).sum(axis=1) / genres.sum(axis=1)
    match = np.clip(np.log(share * len(GENRES)), -2, 2)
    rating = 3.3 + people.bias[user] + films.quality[item] + 0.35 * match + rng.normal(0, 0.5, len(user))
    return np.asarray(np.clip(np.rint(2 * rating) / 2, 1, 5), np.float32)


def _choose(shares: Floats, rows: Positions, rng: np.random.Generator) -> Positions:
    """[n] a column drawn with the probabilities `shares[rows[i]]`; rows of `shares` sum to 1."""
    n_rows, n_columns = shares.shape
    upto = np.cumsum(shares, axis=1, dtype=np.float64)
    upto /= upto[:, -1:]
    flat = (upto + np.arange(n_rows)[:, None]).ravel()
    chosen = np.searchsorted(flat, rows + rng.random(len(rows)), side="right") - rows * n_columns
    return np.asarray(np.minimum(chosen, n_columns - 1), np.int64)


def _is_first(keys: Positions) -> Mask:
    """[n] whether each key stands there for the first time."""
    is_first = np.zeros(len(keys), np.bool_)
    is_first[np.unique(keys, return_index=True)[1]] = True
    return is_first


def _softmax(logits: npt.NDArray[np.float64]) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
