"""Data: checked tables as numbers and features, ready to train on."""

from dataclasses import dataclass

import pyarrow as pa

from dataset import columns
from dataset.features import FeatureColumns, FeatureTables, encode_features, title_numbers
from dataset.interactions import Interactions
from dataset.tables import Tables
from dataset.vocabulary import Vocabulary


@dataclass(frozen=True)
class Data:
    """The events, and what is known of users and items beside them."""

    interactions: Interactions
    users: FeatureColumns
    items: FeatureColumns
    titles: pa.Array  # [n_items] string, in the order of the vocabulary; null where an item has none

    def features(self, history: Interactions) -> FeatureTables:
        """What models may know when `history` is all that has happened."""
        return FeatureTables(history, self.users, self.items, title_numbers(self.titles))


def prepare(tables: Tables) -> Data:
    """Number and encode tables that `dataset.validation.check` has passed.

    The catalogue is every item with an event or a row in the items table; likewise the users.
    """
    users = _vocabulary(tables.interactions, tables.users, columns.USER_ID)
    items = _vocabulary(tables.interactions, tables.items, columns.ITEM_ID)
    return Data(
        Interactions.from_table(tables.interactions, users=users, items=items),
        encode_features(tables.users, users, id_column=columns.USER_ID),
        encode_features(tables.items, items, id_column=columns.ITEM_ID, text_columns=tables.text_columns),
        _titles(tables.items, items),
    )


def _vocabulary(interactions: pa.Table, side: pa.Table | None, id_column: str) -> Vocabulary:
    chunks = list(interactions[id_column].chunks)
    if side is not None:
        chunks += side[id_column].chunks
    return Vocabulary(pa.chunked_array(chunks))


def _titles(items: pa.Table | None, vocabulary: Vocabulary) -> pa.Array:
    if items is None or columns.TITLE not in items.column_names:
        return pa.nulls(len(vocabulary), pa.string())
    titles: list[str | None] = [None] * len(vocabulary)
    for number, title in zip(vocabulary.numbers(items[columns.ITEM_ID]), items[columns.TITLE].to_pylist(), strict=True):
        titles[number - 1] = title
    return pa.array(titles, pa.string())
