"""AskedUsers: whom lists are asked for, as ids or as a table, and what that tells of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.sources.frames import from_pandas, without_views
from belfry.dataset.vocabulary import UNKNOWN, Id, as_arrow
from belfry.pipeline.serving.ids import IdReader
from belfry.pipeline.serving.users.context import ContextReader, UserContexts
from belfry.pipeline.serving.users.newcomers import FeatureReader, Newcomers, listed


@dataclass(frozen=True)
class AskedUsers:
    """Users to be answered; a part of them, as a block, is a slice."""

    ids: pa.Array
    newcomers: Newcomers | None = None  # where a table told of users whom the run does not know
    contexts: UserContexts | None = None  # where lists are asked for in a context

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> "AskedUsers":
        return replace(self, ids=self.ids[rows])


@dataclass(frozen=True)
class UserReader:
    """Reads users as one run knows them."""

    ids: IdReader
    features: FeatureReader
    contexts: ContextReader

    def asked(
        self, users: Iterable[Id] | pa.Table | AskedUsers, context: Mapping[str, object] | None = None
    ) -> AskedUsers:
        """Users as `Recommender.recommend_many` takes them; raises as that."""
        if isinstance(users, AskedUsers):
            return users if context is None else replace(users, contexts=self.contexts.of_all(context))
        table = table_of(users)
        if table is None:
            return AskedUsers(self.ids.array(users, "users"), contexts=self.contexts.of_all(context))
        ids = self.ids.array(table[columns.USER_ID], "users")
        asked = AskedUsers(ids, contexts=self.contexts.of_table(table, ids, context))
        is_new = self.ids.vocabulary.numbers(ids) == UNKNOWN
        if not is_new.any():
            return asked
        rows = as_arrow(np.flatnonzero(is_new))
        of_moment = set(self.contexts.names) - set(self.features.encoder.encoders)
        told = table.drop_columns([name for name in table.column_names if name in of_moment]).take(rows)
        return replace(asked, newcomers=self.features.newcomers(told, ids.take(rows)))


def table_of(users: Any) -> pa.Table | None:
    """Users who are handed over as a table (Arrow, pandas, Polars, DuckDB); None where they are ids.

    Raises:
        InputError: it has no column of ids.
    """
    if isinstance(users, pa.RecordBatch):
        users = pa.Table.from_batches([users])
    elif isinstance(users, pa.RecordBatchReader):
        users = users.read_all()
    if isinstance(users, pa.Table):
        users = without_views(users)
    elif hasattr(type(users), "columns"):  # of the type: a lazy frame of Polars would work them out, and warn
        users = from_pandas(users)
    else:
        return None
    if users.column_names.count(columns.USER_ID) != 1:
        found = listed(users.column_names) or "none"
        raise InputError(f"users: a table needs one column {columns.USER_ID!r}, there are {found}; or pass ids alone")
    return users
