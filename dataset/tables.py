"""Tables: what a source gives, before anything is checked or numbered."""

from dataclasses import dataclass

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.encoding.dictionary import distinct_in


@dataclass(frozen=True)
class ReadingNote:
    """What was noticed, or done, when a table was read."""

    table: str  # interactions, items, users or ratings
    text: str


@dataclass(frozen=True)
class Tables:
    """Up to three tables: only `interactions` is needed; `items` and `users` carry features.

    `text_columns` names the columns of items and users whose words are features (a title).
    `usage_columns` names the columns of items and users that events make; all others are known before any event.
    `label_columns` names further columns of interactions that models learn to predict.
    `context_columns` names those that say what was known when an event happened.
    `notes` tell what their reader noticed.
    """

    interactions: pa.Table
    items: pa.Table | None = None
    users: pa.Table | None = None
    text_columns: tuple[str, ...] = ()
    usage_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    notes: tuple[ReadingNote, ...] = ()
    context_columns: tuple[str, ...] = ()

    @property
    def user_ids(self) -> pa.ChunkedArray:
        """Those in interactions and users; of an encoded column each once."""
        return _ids(columns.USER_ID, self.interactions, self.users)

    @property
    def item_ids(self) -> pa.ChunkedArray:
        """Those in interactions and items; of an encoded column each once."""
        return _ids(columns.ITEM_ID, self.interactions, self.items)


def _ids(name: str, *tables: pa.Table | None) -> pa.ChunkedArray:
    given = [table[name] for table in tables if table is not None]
    chunks = ([distinct_in(ids)] if pa.types.is_dictionary(ids.type) else ids.chunks for ids in given)
    return pa.chunked_array([chunk for of_one in chunks for chunk in of_one])
