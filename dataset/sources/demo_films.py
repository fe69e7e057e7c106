"""Films of the generated world: what they are, when they come out, where a viewer finds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.arrays import Positions

Floats: TypeAlias = npt.NDArray[np.float32]
Seconds: TypeAlias = npt.NDArray[np.int64]


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Common genres first.
GENRES = words(
    "Drama Comedy Thriller Action Romance Adventure Crime Sci-Fi Horror Fantasy Children's Animation Mystery "
    "Documentary War Musical Western Film-Noir"
)
# One row per mood, of equal length.
MOOD_ADJECTIVES = (
    words(
        "Gentle Golden Quiet Tender Warm Little Amber Distant Homeward Patient Sunny Velvet Honest Lilac Mild Sleepy"
    ),
    words("Broken Cold Dark Hollow Silent Bitter Sunken Ashen Buried Fading Iron Midnight Nameless Last Grey Frozen"),
    words(
        "Burning Wild Rapid Savage Thundering Scarlet Reckless Electric Roaring Hidden Final Stolen Fierce Sudden "
        "Restless Blazing"
    ),
    words(
        "Crooked Backward Curious Paper Borrowed Dizzy Invisible Purple Spare Tilted Sideways Clockwork Second Wooden "
        "Peculiar Lopsided"
    ),
)
NOUNS = words(
    "Harbour Lantern River Orchard Signal Garden Letter Mountain Station Mirror Carnival Compass Winter Bridge Island "
    "Horizon Window Promise Shadow Engine Circus Desert Valley Kingdom Market Voyage Tower Secret Anthem Machine "
    "Forest Tide Castle Avenue Summer Crossing Stranger Parade Feather Lighthouse Puzzle Empire Shore Kitchen Railway "
    "Meadow Archive Balloon Thunder Canyon Melody Bargain Journey Lagoon Satellite Theatre Witness Cathedral Umbrella "
    "Comet"
)

GENRE_LOGITS = -0.8 * np.log(np.arange(1, len(GENRES) + 1))

DAY_S = 86_400
PERIOD_S = 14 * DAY_S  # freshness is reckoned, and films are released, in steps of two weeks
N_PERIODS = 52
START_S = 1_609_459_200  # 2021-01-01
FRESH_DAYS = 60
# Not the number that a Vocabulary gives, so that mistaking one for the other shows.
FIRST_ITEM_ID = 501


@dataclass(frozen=True)
class Catalogue:
    """The films, oldest first, and the shelves they stand on: one per genre and mood, a film on one per genre it has.

    Copies of films are ordered by shelf; shelf number is genre * n_moods + mood.
    """

    genres: Floats  # [n_items, n_genres] 1 where the film has the genre
    mood: Positions  # [n_items] row of MOOD_ADJECTIVES
    release_s: Seconds  # [n_items]
    quality: Floats  # [n_items] added to each rating
    copy_item: Positions  # [n_copies] position of the film
    shelf_starts: Positions  # [n_shelves + 1] in `copy_item`
    # Popularity times freshness (0 before the release), summed up over periods, and over copies within each.
    reach_sum: npt.NDArray[np.float64]  # [n_periods * n_copies + 1]


def make_catalogue(n_items: int, rng: np.random.Generator) -> tuple[Catalogue, pa.Table]:
    """The films and, a row each, the items table."""
    n_genres, n_moods = len(GENRES), len(MOOD_ADJECTIVES)
    # Two films in three are older than the world, and none is younger than its last period.
    age = np.where(rng.random(n_items) < 0.65, -rng.gamma(1.5, 260, n_items), rng.random(n_items) * N_PERIODS)
    release_period = np.sort(np.clip(np.floor(age), -60 * 26, N_PERIODS - 1)).astype(np.int64)
    release_s = START_S + release_period * PERIOD_S
    mood = rng.integers(n_moods, size=n_items)

    order = np.argsort(-(GENRE_LOGITS + rng.gumbel(size=(n_items, n_genres))), axis=1)
    n_genres_of = rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15], size=n_items)
    genres = np.zeros((n_items, n_genres), np.float32)
    for place in range(3):
        has = n_genres_of > place
        genres[has, order[has, place]] = 1

    popularity = rng.permutation(1 / np.arange(1, n_items + 1) ** 1.1)
    item, genre = np.nonzero(genres)
    shelf = genre * n_moods + mood[item]
    by_shelf = np.argsort(shelf, kind="stable")
    copy_item = item[by_shelf]
    periods_out = np.arange(N_PERIODS)[:, None] - release_period[copy_item]  # [n_periods, n_copies]
    freshness = 1 + 4 * np.exp(-np.maximum(periods_out, 0) * (PERIOD_S / DAY_S / FRESH_DAYS))
    reach = np.where(periods_out >= 0, freshness * (popularity / n_genres_of)[copy_item], 0)

    release_year = pd.DatetimeIndex(release_s.astype("datetime64[s]")).year.to_numpy().astype(np.int64)
    items = pa.table(
        {
            columns.ITEM_ID: FIRST_ITEM_ID + np.arange(n_items),
            columns.TITLE: _make_titles(mood, release_year, rng),
            "genres": [[GENRES[genre] for genre in row[:n]] for row, n in zip(order, n_genres_of, strict=True)],
            "release_year": release_year,
        }
    )
    catalogue = Catalogue(
        genres=genres,
        mood=mood,
        release_s=release_s,
        quality=rng.normal(0, 0.4, n_items).astype(np.float32),
        copy_item=copy_item,
        shelf_starts=np.searchsorted(shelf[by_shelf], np.arange(n_genres * n_moods + 1)).astype(np.int64),
        reach_sum=np.concatenate([[0.0], np.cumsum(reach)]),
    )
    return catalogue, items


def _make_titles(mood: Positions, release_year: Positions, rng: np.random.Generator) -> Sequence[str]:
    """Titles such as "Silent Harbour (1987)"; a name taken by an older film gets the next number."""
    # Half of the adjectives tell the mood, half tell nothing.
    adjective_mood = np.where(rng.random(len(mood)) < 0.5, mood, rng.integers(len(MOOD_ADJECTIVES), size=len(mood)))
    adjective = np.array(MOOD_ADJECTIVES)[adjective_mood, rng.integers(len(MOOD_ADJECTIVES[0]), size=len(mood))]
    names = pd.Series(adjective) + " " + pd.Series(np.array(NOUNS)[rng.integers(len(NOUNS), size=len(mood))])
    part = names.groupby(names).cumcount() + 1
    return [
        f"{name} ({year})" if number == 1 else f"{name} {number} ({year})"
        for name, number, year in zip(names, part, release_year, strict=True)
    ]
