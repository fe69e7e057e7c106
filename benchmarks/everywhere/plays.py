"""Watches with weights: generated play counts, and ratings that stand in for weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from benchmarks.leaderboard.splits import Case

N_LISTENERS, N_ARTISTS, N_HEARD = 1_900, 4_500, 50
_N_TASTES, _N_SCENES = 12, 40
_SEED = 0


def generate_plays(seed: int = _SEED) -> pa.Table:
    """`user_id`, `item_id` and `weight`, a number of plays, of listeners who hear what is known and what they like.

    An artist lies near one of some scenes, a listener anywhere. Of the artists that a listener has heard, by popularity
    and taste alike, plays grow with taste, log-normally: by a fifth of the variance of their logarithm; the rest is how
    much anybody hears, and chance.
    """
    generator = np.random.default_rng(seed)
    listeners = generator.normal(size=(N_LISTENERS, _N_TASTES))
    scenes = 1.3 * generator.normal(size=(_N_SCENES, _N_TASTES))
    near = scenes[generator.integers(_N_SCENES, size=N_ARTISTS)]
    artists = near + 0.6 * generator.normal(size=(N_ARTISTS, _N_TASTES))
    known = generator.permutation(-np.log(np.arange(3, N_ARTISTS + 3)))
    taste = listeners @ artists.T / np.sqrt(_N_TASTES)
    keys = 1.2 * taste + known + generator.gumbel(size=taste.shape)
    heard = np.argpartition(-keys, N_HEARD, axis=1)[:, :N_HEARD]
    liked = np.take_along_axis(taste, heard, axis=1)
    liked = (liked - liked.mean(axis=1, keepdims=True)) / liked.std(axis=1, keepdims=True)
    chance = generator.normal(size=heard.shape)
    plays = np.exp(4.5 + 0.8 * generator.normal(size=(N_LISTENERS, 1)) + 0.7 * liked + 1.2 * chance)
    return pa.table(
        {
            columns.USER_ID: np.repeat(np.arange(N_LISTENERS), N_HEARD),
            columns.ITEM_ID: heard.ravel(),
            columns.WEIGHT: np.maximum(1, plays.ravel()).astype(np.int64),
        }
    )


@dataclass(frozen=True)
class PlaysCase(Case):
    """Generated play counts, or the same pairs without them."""

    with_weights: bool = True

    def load(self, data_folder: Path | None) -> Data:
        plays = generate_plays()
        return prepare(check(Tables(plays if self.with_weights else plays.drop_columns([columns.WEIGHT])))[0])


@dataclass(frozen=True)
class RatingsAsWeightsCase(Case):
    """Ratings handed in as weights."""

    def load(self, data_folder: Path | None) -> Data:
        tables = read_data(self.data, data_folder)
        events = tables.interactions
        weighed = events.append_column(columns.WEIGHT, events[columns.RATING])
        return prepare(check(Tables(weighed, tables.items, tables.users))[0])
