"""Tables: what a source gives, before anything is checked or numbered."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Tables:
    """Up to three tables: only `interactions` is needed; `items` and `users` carry features.

    `text_columns` names the item columns whose words are features (a title); any other string column is categorical.
    `usage_columns` names the columns of items and users that events make; all others are known before any event.
    `label_columns` names further columns of interactions that models learn to predict.
    """

    interactions: pa.Table
    items: pa.Table | None = None
    users: pa.Table | None = None
    text_columns: tuple[str, ...] = ()
    usage_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
