"""Fresh watches of many users, folded into what answers for once: nothing is published."""

import hashlib
import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source, read_events
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, UserNums, Vocabulary, as_numpy
from belfry.pipeline.jobs.later_events import later_watches
from belfry.pipeline.jobs.updating.fold import known_events, policy_for
from belfry.pipeline.jobs.updating.numbering import columns_of
from belfry.pipeline.kinds import ranker_kind
from belfry.pipeline.serving.load import config_of
from belfry.pipeline.serving.recommender import Recommender

_NAME = "history"  # of the table, in messages

log = logging.getLogger(__name__)


class _Extended(Vocabulary):
    """A vocabulary and new ids, whose numbers come after those that there are."""

    def __init__(self, known: Vocabulary, new: pa.Array) -> None:
        self.ids = pa.concat_arrays([known.ids, new])


def with_history(recommender: Recommender, source: Source, reading: Reading = AS_IT_IS) -> Recommender:
    """The same, and every user has watched since what a table says: each is answered as by `recommend(history=...)`.

    Users who are not in the run are known from here on. Items outside of the catalogue are left out.

    Args:
        source: `user_id` and `item_id`; by `timestamp_s`, where it is there, else by its rows, from the oldest on.

    Raises:
        TableError: the table cannot be read, or has ids of another type than the run.
        InputError: the run's models know users by their id, and cannot read a history, or not that of a new user.
    """
    if not recommender.parts.reads_history:
        raise InputError(
            f"{_NAME}: the towers of run {recommender.run.name} know users by their id alone and cannot read one; "
            "train a run with towers that read histories, such as two_tower"
        )
    parts, users, items = recommender.parts, recommender.users, recommender.items
    table = read_events(source, users, items, reading=reading, name=_NAME)
    watches = later_watches(
        table, users, items, parts.event_weights, policy=parts.policy, rated_and_timed=True, name=_NAME
    )
    watches = watches.filter(pc.and_(watches[columns.USER_ID].is_valid(), watches[columns.ITEM_ID].is_valid()))
    if columns.TIMESTAMP_S in watches.column_names and watches[columns.TIMESTAMP_S].null_count:
        watches = watches.drop_columns(columns.TIMESTAMP_S)  # of no value in any row: others are refused
    if columns.TIMESTAMP_S in watches.column_names:
        watches = watches.take(np.argsort(as_numpy(watches[columns.TIMESTAMP_S]), kind="stable"))
    watches = _not_yet_known(watches, recommender)
    ids, item_num = watches[columns.USER_ID].combine_chunks(), items.numbers(watches[columns.ITEM_ID])
    everybody = _with(users, ids)
    _check_new_users(recommender, len(everybody) - len(users))
    features = _folded(recommender.features, everybody, everybody.numbers(ids), item_num)
    digest = hashlib.sha256(str([ids.to_pylist(), item_num.tolist()]).encode()).hexdigest()
    return Recommender(replace(parts, two_stage=replace(recommender.two_stage, features=features), folded=digest))


def with_newcomers(features: FeatureTables, ids: pa.Array | pa.ChunkedArray) -> FeatureTables:
    """Tables that also know those of `ids` who are in none: users who have done nothing, and of whom nothing is known.

    Nulls are nobody.
    """
    nothing = np.zeros(0, np.int32)
    return _folded(features, _with(features.history.users, ids.drop_null()), nothing, nothing)


def _with(users: Vocabulary, ids: pa.Array | pa.ChunkedArray) -> Vocabulary:
    """All users, and behind them those of `ids` who are new."""
    new = pc.unique(ids.filter(pa.array(users.numbers(ids) == UNKNOWN)))
    return _Extended(users, new) if len(new) else users


def _not_yet_known(watches: pa.Table, recommender: Recommender) -> pa.Table:
    """The watches of items that the run knows, without those that are in its history; the others are told of."""
    history, run = recommender.features.history, recommender.run.name
    fresh = Interactions.from_table(watches, users=recommender.users, items=recommender.items)
    is_outside = fresh.item_num == UNKNOWN
    policy = policy_for(history, recommender.parts.policy, recommender.repeats)
    is_known = known_events(history, fresh, policy) & ~is_outside
    if n_outside := int(is_outside.sum()):
        log.warning("note: %s: %s rows are of items that run %s does not know", _NAME, f"{n_outside:,}", run)
    if n_known := int(is_known.sum()):
        log.warning("note: %s: %s rows are in run %s already and not counted again", _NAME, f"{n_known:,}", run)
    return watches.filter(pa.array(~is_outside & ~is_known))


def _check_new_users(recommender: Recommender, n_new: int) -> None:
    """Raises InputError: the ranker knows users by numbers, and can say nothing of new ones."""
    config = config_of(recommender.run)
    if n_new and recommender.two_stage.ranker is not None and config.ranker and ranker_kind(config.ranker).knows_users:
        raise InputError(
            f"{_NAME}: the ranker of run {recommender.run.name}, {config.ranker.kind}, knows users by their id, and "
            f"{n_new:,} are new; take them into the run with belfry update"
        )


def _folded(features: FeatureTables, users: Vocabulary, user_num: UserNums, item_num: ItemNums) -> FeatureTables:
    """Tables of all `users`; the fresh watches come last, at `features.now_s`, as those of a session do."""
    known, n_fresh, n_new = features.history, len(item_num), len(users) - len(features.history.users)
    nothing = np.full(n_fresh, np.nan, np.float32)
    times, now_s = known.timestamp_s, np.full(n_fresh, features.now_s)
    history = Interactions(
        users=users,
        items=known.items,
        user_num=np.append(known.user_num, user_num),
        item_num=np.append(known.item_num, item_num),
        timestamp_s=None if times is None else np.append(times, now_s),
        rating=None if known.rating is None else np.append(known.rating, nothing),
        weight=None if known.weight is None else np.append(known.weight, np.ones(n_fresh, np.float32)),
        labels={name: np.append(values, nothing) for name, values in known.labels.items()},
        rows_in_order=known.rows_in_order,
        context={name: column.followed_by(np.zeros(n_fresh, np.int32)) for name, column in known.context.items()},
        impressions=_of_more_users(known.impressions, n_new),
        dislikes=_of_more_users(known.dislikes, n_new),
    )
    rows = np.append(np.arange(len(known.users) + 1), np.zeros(n_new)).astype(np.int32)
    return replace(features, history=history, users=columns_of(features.users, rows))


def _of_more_users(pairs: SeenItems | None, n_new: int) -> SeenItems | None:
    """The same, and nothing of the new users."""
    return pairs and replace(pairs, starts=np.append(pairs.starts, np.full(n_new, pairs.starts[-1])))
