"""Described: what tables of users and items that came since say, beside what a run knows."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.prepare import Data
from belfry.pipeline.jobs.updating.arrived import Arrived
from belfry.pipeline.jobs.updating.numbering import Numbering, columns_of


def described(data: Data, numbering: Numbering, arrived: Arrived) -> Data:
    """Features and titles by today's numbers; those of a row that came take the place of what is known.

    Args:
        data: today's history, the rest by the numbers of before.
    """
    return replace(
        data,
        users=columns_of(data.users, numbering.users_before),
        items=columns_of(data.items, numbering.items_before),
        titles=_titles(numbering.titles(data.titles), numbering, arrived.items),
    )


def _titles(titles: pa.Array, numbering: Numbering, items: pa.Table | None) -> pa.Array:
    """[n_items] those of the table, and others where it has none."""
    if items is None or columns.TITLE not in items.column_names:
        return titles
    row = pc.index_in(numbering.items.ids, value_set=items[columns.ITEM_ID].combine_chunks())
    return pc.coalesce(items[columns.TITLE].combine_chunks().cast(pa.string()).take(row), titles)
