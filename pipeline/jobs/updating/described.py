"""Described: what tables of users and items that came since say, beside what a run knows."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.features import FeatureColumns
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.jobs.updating.arrived import Arrived
from belfry.pipeline.jobs.updating.numbering import Array, Numbering, columns_of, with_arrays


def described(data: Data, numbering: Numbering, arrived: Arrived) -> Data:
    """Features and titles by today's numbers; those of a row that came take the place of what is known.

    Args:
        data: today's history, the rest by the numbers of before.
    """
    users = columns_of(data.users, numbering.users_before)
    items = columns_of(data.items, numbering.items_before)
    return replace(
        data,
        users=_with_rows(users, arrived.users, data.user_encoder, numbering.users, columns.USER_ID),
        items=_with_rows(items, arrived.items, data.item_encoder, numbering.items, columns.ITEM_ID),
        titles=_titles(numbering.titles(data.titles), numbering, arrived.items),
    )


def _with_rows(
    known: FeatureColumns, table: pa.Table | None, encoder: FeatureEncoder, vocabulary: Vocabulary, id_column: str
) -> FeatureColumns:
    """The known features, with the columns and rows of the table in their place."""
    if table is None or not encoder.encoders:
        return known
    numbers = vocabulary.numbers(table[id_column])
    came = encoder.encode(table, numbers, len(vocabulary))
    told = known.replaced(came, table.column_names)

    def mixed(kind: str, name: str, values: Array) -> Array:
        values = values.copy()
        values[numbers] = getattr(told, kind)[name][numbers]
        return values

    return with_arrays(known, mixed)


def _titles(titles: pa.Array, numbering: Numbering, items: pa.Table | None) -> pa.Array:
    """[n_items] those of the table, and others where it has none."""
    if items is None or columns.TITLE not in items.column_names:
        return titles
    row = pc.index_in(numbering.items.ids, value_set=items[columns.ITEM_ID].combine_chunks())
    return pc.coalesce(items[columns.TITLE].combine_chunks().cast(pa.string()).take(row), titles)
