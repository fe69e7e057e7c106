"""Both stages over one session user alone, or over newcomers, with what is told of them: nothing is trained again.

The tables are so small that they can be made for every call.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, Vocabulary, as_arrow
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.serving.users.newcomers import Newcomers

SESSION_USER = np.ones(1, np.int32)  # [1] the number of the session user, the only one in these tables
_ONE_USER = Vocabulary(as_arrow(np.zeros(1, np.int64)))


def session_tables(
    features: FeatureTables, user: int, fresh: ItemNums, told: FeatureColumns | None = None, names: Iterable[str] = ()
) -> FeatureTables:
    """Tables of one session user: their known events, then the fresh ones, which come last, at `features.now_s`.

    Args:
        user: number in `features`; 0 for a user who is not in it.
        fresh: [n_fresh] item numbers, oldest first; none is 0.
        told: features in row 1, of which those that go by one of `names` take the place of the known ones.
        names: as `FeatureColumns.label` gives them.
    """
    known = features.history
    rows = known.by_user.of(user) if user else np.zeros(0, np.int64)
    item_num = np.concatenate([known.item_num[rows], fresh]).astype(np.int32)
    timestamp_s, rating, weight = known.timestamp_s, known.rating, known.weight
    history = Interactions(
        users=_ONE_USER,
        items=known.items,
        user_num=np.ones(len(item_num), np.int32),
        item_num=item_num,
        timestamp_s=None if timestamp_s is None else np.append(timestamp_s[rows], np.full(len(fresh), features.now_s)),
        rating=None if rating is None else np.append(rating[rows], np.full(len(fresh), np.nan, np.float32)),
        weight=None if weight is None else np.append(weight[rows], np.ones(len(fresh), np.float32)),
        rows_in_order=known.rows_in_order,
        impressions=None if known.impressions is None else _alone(known.impressions.of(user)),
        dislikes=None if known.dislikes is None else _alone(known.dislikes.of(user)),
        context={
            name: column.select(rows).followed_by(np.zeros(len(fresh), np.int32))
            for name, column in known.context.items()
        },
    )
    users = _rows(features.users, np.array([0, user]))
    if told is not None:
        users = users.replaced(told, names).hide_usage(np.array([False, len(item_num) > 0]))
    return FeatureTables(history, users, features.items, features.titles, features.now_s)


def stages_for_session(
    two_stage: TwoStage, user: int, fresh: ItemNums, told: FeatureColumns | None, names: Iterable[str]
) -> TwoStage:
    """The same over the tables of one session user; arguments as of `session_tables`."""
    tables = session_tables(two_stage.features, user, fresh, told, names)
    return replace(two_stage, features=tables, in_run=np.array([UNKNOWN, user], np.int32))


def stages_for_newcomers(two_stage: TwoStage, newcomers: Newcomers) -> TwoStage:
    """The same over the tables of users who have done nothing yet, and of whom features alone are known."""
    features, n_rows = two_stage.features, len(newcomers.users) + 1
    known = features.history
    history = replace(
        known.select(np.zeros(0, np.int64)),
        users=newcomers.users,
        impressions=None,
        dislikes=None if known.dislikes is None else SeenItems.nothing(len(newcomers.users)),
    )
    users = newcomers.columns.hide_usage(np.zeros(n_rows, np.bool_))
    tables = FeatureTables(history, users, features.items, features.titles, features.now_s)
    return replace(two_stage, features=tables, in_run=np.zeros(n_rows, np.int32))


def _alone(items: ItemNums) -> SeenItems:
    """Pairs of the session user."""
    return SeenItems(np.array([0, 0, len(items)]), items)


def _rows(columns: FeatureColumns, numbers: np.ndarray) -> FeatureColumns:
    """The rows of these user numbers, in this order."""
    return replace(
        columns,
        categorical={name: values[numbers] for name, values in columns.categorical.items()},
        numeric={name: values[numbers] for name, values in columns.numeric.items()},
        multi_valued={name: values[numbers] for name, values in columns.multi_valued.items()},
        vectors={name: values[numbers] for name, values in columns.vectors.items()},
    )
