"""The table of what users did later: read, checked, and narrowed to the watches that lists are judged by."""

import logging

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.event_weights import EventWeights, part_events
from belfry.dataset.validation.check import check_later
from belfry.dataset.validation.cleaning import Cleaning
from belfry.dataset.validation.id_matches import numbers_among
from belfry.dataset.validation.ids import ids_like
from belfry.dataset.validation.policy import DEFAULT_POLICY, Policy
from belfry.dataset.vocabulary import UNKNOWN, Vocabulary
from belfry.evaluation.context import UserCount

log = logging.getLogger(__name__)


def later_watches(
    test: pa.Table,
    users: Vocabulary,
    items: Vocabulary,
    event_weights: EventWeights,
    *,
    policy: Policy = DEFAULT_POLICY,
    rated_and_timed: bool = False,
    name: str = "test",
) -> pa.Table:
    """The ids in the rows of `test` that are watches: nobody has to be recommended what was only shown, or disliked.

    Args:
        policy: that of the training data, which says what ratings mean.
        rated_and_timed: keep `rating` and `timestamp_s` beside them, where they are there.
        name: what messages call the table.

    Raises:
        TableError: a column is missing or cannot be read, its ids are of another type, or no row is a watch.
    """
    vocabularies = {columns.USER_ID: users, columns.ITEM_ID: items}
    cleaning = Cleaning(name, test, [], can_set=False)
    cleaning.require(*vocabularies)
    cleaning.raise_errors()
    if not len(test):
        raise TableError(f"{name}: has no rows; pass what users did after the training data")
    test, notes = ids_like(test, vocabularies, policy.of_ids_and_ratings, label=name)
    for note in notes:
        log.warning("note: %s", note)
    for column, vocabulary in vocabularies.items():
        if test[column].null_count == len(test):
            raise TableError(f"{name}: column {column!r} has no id in any row; fill it")
        found, known = test.schema.field(column).type, vocabulary.ids.type
        if found != known:
            in_numbers = numbers_among(test[column], vocabulary.ids) if known == pa.int64() else ""
            raise TableError(
                f"{name}: column {column!r} is {found}, the ids learned from are {known}; 1 and '1' are never merged: "
                f"cast it{in_numbers}"
            )
    beside = [one for one in (columns.RATING, columns.TIMESTAMP_S) if rated_and_timed and one in test.column_names]
    wanted = (columns.EVENT, columns.WEIGHT, *(() if policy.liked_from is None else (columns.RATING,)))
    events = [one for one in wanted if one in test.column_names]
    if beside or events:
        test = test.select(list(dict.fromkeys([*vocabularies, *beside, *events])))
        is_rated = rated_and_timed or columns.RATING in events
        test = check_later(test, policy.of_ids_and_ratings, rated_and_timed=is_rated, name=name)
    if events:
        test = part_events(test, event_weights, liked_from=policy.liked_from, name=name).watches
    return test.select([*vocabularies, *beside])


def unknown_users(test: pa.Table, users: Vocabulary) -> list[UserCount]:
    """Who of the test part is not in `users`, told where there are any."""
    is_unknown = pa.array(users.numbers(test[columns.USER_ID]) == UNKNOWN)
    rows = test[columns.USER_ID].filter(is_unknown)
    return [UserCount(f"not in the training data ({len(rows):,} test rows)", len(rows.unique()))] if len(rows) else []
