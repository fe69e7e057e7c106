"""Lists of many users as one table."""

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.vocabulary import Vocabulary, as_arrow, positions_in, texts_as_arrow
from belfry.pipeline.serving.explain import Reason, reason_columns


def table_of_lists(lists: Candidates, ids: pa.Array, items: Vocabulary, reasons: list[Reason] | None) -> pa.Table:
    """A row for each place.

    Args:
        ids: [n_users] those of `lists.users`.
        reasons: of each row, which become columns; or none.
    """
    table = {
        columns.USER_ID: ids.take(as_arrow(lists.row_user)),
        columns.RANK: as_arrow(lists.rank),
        columns.ITEM_ID: items.take(lists.item_num),
        columns.SCORE: as_arrow(lists.score),
        columns.ORIGIN: texts_as_arrow(lists.origins).take(as_arrow(lists.origin)),
    }
    if lists.propensity is not None:
        table[columns.PROPENSITY] = as_arrow(lists.propensity)
    return pa.table(table | ({} if reasons is None else reason_columns(reasons, items)))


def in_order(tables: list[pa.Table], ids: pa.Array) -> pa.Table:
    """Tables of lists as one, with the users in the order of `ids`."""
    together = pa.concat_tables(tables).combine_chunks()
    place = positions_in(together[columns.USER_ID].combine_chunks(), ids)
    return together.take(as_arrow(np.argsort(place, kind="stable")))
