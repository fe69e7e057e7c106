"""Whom a batch job is asked for: read from a table, each user once, as ids of the run."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import read_events
from belfry.dataset.validation.ids import ids_like
from belfry.dataset.validation.usual_names import names_in, remedy
from belfry.dataset.vocabulary import as_arrow, positions_in
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.users.asked import AskedUsers, table_of

log = logging.getLogger(__name__)


def read_users(path: Path, recommender: Recommender, reading: Reading = AS_IT_IS) -> pa.Table:
    """A table of users, its column `user_id` as ids of the recommender's run; the others as they came.

    The ids of a CSV file are read as text where the run's are text.

    Raises:
        TableError: there is no such column, or ids in it are null or empty, or neither text nor integers.
    """
    table = read_events(path, recommender.users, recommender.items, reading=reading, name="users")
    count = table.column_names.count(columns.USER_ID)
    if count != 1:
        there = ", ".join(map(repr, table.column_names[:12]))
        way_out = "keep one" if count else remedy([columns.USER_ID], names_in(table), "users")
        raise TableError(
            f"{path}: has {count} columns {columns.USER_ID!r}, one is needed; there are {there}: {way_out}"
        )
    policy = recommender.parts.policy.of_ids_and_ratings
    table, notes = ids_like(table, {columns.USER_ID: recommender.users}, policy, label=str(path))
    for note in notes:
        log.warning("note: %s", note)
    return table


def unique_users(
    users: pa.Array | pa.Table | None, recommender: Recommender, context: Mapping[str, object] | None = None
) -> tuple[AskedUsers, int]:
    """The users to answer, each once, by their first row; and how many rows repeat an earlier one.

    Args:
        users: ids, or a table of ids and features; None stands for all users of the run.
        context: as in `Recommender.recommend_many`.

    Raises:
        InputError: there are none, some are null, or they are of another type than the run's.
    """
    if users is None:
        return recommender.asked_users(AskedUsers(recommender.users.ids), context), 0
    if not len(users):
        raise InputError("users: there are none; pass at least one id, or none at all for every user of the run")
    table = table_of(users)
    ids = recommender.user_ids.array(users if table is None else table[columns.USER_ID], "users")
    first = np.unique(positions_in(ids, pc.unique(ids)), return_index=True)[1]
    asked = ids if table is None else table
    if len(first) < len(ids):
        asked = asked.take(as_arrow(first))
    return recommender.asked_users(asked, context), len(ids) - len(first)
