"""CategoryLifts: shares of categories in histories, by hand."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.ranking.multitask.category_lifts import CategoryLifts, category_shares

SMOOTHING = 10
ANYBODY = np.array([1, 2], np.int32)

# Items 1 to 4; genres: 1 is a drama, 2 a comedy, 3 both, 4 unknown.
GENRES = np.array([[0, 0], [1, 0], [2, 0], [1, 2], [0, 0]], np.int32)
ITEMS = FeatureColumns({}, {"year": np.zeros(5, np.float32)}, {"genres": GENRES}, {"genres": 3})


def tables(items: FeatureColumns = ITEMS) -> FeatureTables:
    """User 1 watched 1 twice, 3 and 4; user 2 watched 2."""
    table = pa.table({"user_id": [1, 1, 1, 1, 2], "item_id": [1, 1, 3, 4, 2]})
    return FeatureTables(Interactions.from_table(table), FeatureColumns(), items)


def lifts_of(features: FeatureTables, users: np.ndarray = ANYBODY) -> CategoryLifts:
    return CategoryLifts(features, users, category_shares(features.items, features.history.item_counts))


def test_shares_of_all_watches() -> None:
    shares = category_shares(ITEMS, tables().history.item_counts)
    assert shares == pytest.approx(np.array([1.5 + 1, 1.5 + 1]) / 5)


def test_the_share_in_a_history_over_that_in_all() -> None:
    lifts = lifts_of(tables())(np.array([0, 0, 1, 1]), np.array([2, 3, 2, 4], np.int32), are_watched=False)
    comedies = (0.5 + SMOOTHING / 2) / (2 + SMOOTHING), (1 + SMOOTHING / 2) / (1 + SMOOTHING)
    assert lifts[:, 0] == pytest.approx([np.log(2 * comedies[0]), 0, np.log(2 * comedies[1]), 0], abs=1e-6)


def test_a_watched_item_is_read_as_if_it_were_not() -> None:
    lifts = lifts_of(tables())(np.array([0, 0]), np.array([1, 4], np.int32), are_watched=True)
    dramas = (1.5 - 1 + SMOOTHING / 2) / (2 - 1 + SMOOTHING)
    assert lifts[:, 0] == pytest.approx([np.log(2 * dramas), 0], abs=1e-6)


def test_an_unknown_user_has_lifts_of_zero() -> None:
    lifts = lifts_of(tables(), np.zeros(1, np.int32))(np.zeros(3, np.int64), np.arange(1, 4), are_watched=False)
    assert lifts == pytest.approx(np.zeros((3, 1)), abs=1e-6)


@pytest.mark.parametrize("items", [FeatureColumns(), FeatureColumns({}, {"year": np.zeros(5, np.float32)})])
def test_without_categories_there_is_no_column(items: FeatureColumns) -> None:
    lifts = lifts_of(tables(items))(np.array([0, 1]), np.array([1, 2], np.int32), are_watched=False)
    assert lifts.shape == (2, 0)


def test_no_users_and_no_items_give_no_lifts() -> None:
    lifts = lifts_of(tables(), np.zeros(0, np.int32))
    assert lifts(np.zeros(0, np.int64), np.zeros(0, np.int32), are_watched=False).shape == (0, 1)
