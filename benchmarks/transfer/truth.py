"""The generated world, where the rating that a user would give on average is known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.demo import FIRST_USER_ID, generate_world, genre_shares_at
from belfry.dataset.sources.demo_films import FIRST_ITEM_ID, GENRES
from belfry.dataset.split import Split, split_random
from belfry.dataset.validation.check import check


@dataclass(frozen=True)
class KnownWorld:
    data: Data
    split: Split
    truth: npt.NDArray[np.float64]  # [n_test] the rating of each test watch, rated or not, but for chance


def known_world(seed: int) -> KnownWorld:
    world = generate_world(seed=seed)
    data = prepare(check(world.tables)[0])
    split = split_random(data.interactions, seed=seed)
    test, films, people = split.test, world.catalogue, world.people
    assert test.timestamp_s is not None
    user, item = _ids(test, "users") - FIRST_USER_ID, _ids(test, "items") - FIRST_ITEM_ID
    genres = films.genres[item]
    share = (genre_shares_at(people, user, test.timestamp_s) * genres).sum(axis=1) / genres.sum(axis=1)
    match = np.clip(np.log(share * len(GENRES)), -2, 2)
    truth = 3.3 + people.bias[user] + films.quality[item] + 0.35 * match
    return KnownWorld(data, split, np.clip(truth, 1, 5).astype(np.float64))


def _ids(test: Interactions, side: str) -> npt.NDArray[np.int64]:
    vocabulary, numbers = (test.users, test.user_num) if side == "users" else (test.items, test.item_num)
    return np.asarray(vocabulary.take(numbers), np.int64)
