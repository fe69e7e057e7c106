"""Tables: what a source gives, before anything is checked or numbered."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Tables:
    """The three tables of design: only `interactions` is needed; `items` and `users` carry features.

    `text_columns` names the item columns whose words are features (a title); an unnamed string column is categorical.
    `usage_columns` names the columns of items and users that are made by use; all others are known before any use.
    `label_columns` names further columns of interactions that something is to be learned from.
    """

    interactions: pa.Table
    items: pa.Table | None = None
    users: pa.Table | None = None
    text_columns: tuple[str, ...] = ()
    usage_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
