"""Whom a batch job is asked for: read from a table, each user once, as ids of the run."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.validation import coercion
from belfry.pipeline.serving.recommender import Recommender


def read_users(path: Path, recommender: Recommender) -> pa.Array:
    """The ids in the column `user_id` of a table, as ids of the recommender's run.

    The ids of a CSV file are read as text where the run's are text.

    Raises:
        TableError: there is no such column, or ids in it are null or empty, or neither text nor integers.
    """
    table = read_tables(path, users=pa.table({columns.USER_ID: recommender.users.ids})).interactions
    count = table.column_names.count(columns.USER_ID)
    if count != 1:
        there = ", ".join(map(repr, table.column_names))
        raise TableError(f"{path}: has {count} columns {columns.USER_ID!r}, one is needed; there are {there}")
    try:
        return coercion.as_ids(table[columns.USER_ID]).combine_chunks()
    except TableError as error:
        raise TableError(f"{path}: column {columns.USER_ID!r} {error}") from error


def unique_users(users: pa.Array | None, recommender: Recommender) -> tuple[pa.Array, int]:
    """The ids to answer, each once, in the order of their first row; and how many rows repeat an earlier one.

    Args:
        users: None stands for all users of the run.

    Raises:
        InputError: there are none, some are null, or they are of another type than the run's.
    """
    if users is None:
        return recommender.users.ids, 0
    if not len(users):
        raise InputError("users: there are none; pass at least one id, or none at all for every user of the run")
    ids = recommender.user_ids.array(users, "users")
    unique = pc.unique(ids)
    return unique, len(ids) - len(unique)
