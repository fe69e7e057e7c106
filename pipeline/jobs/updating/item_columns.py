"""The columns of items that rules ask for, those that came since among them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, shown
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.jobs.updating.numbering import Numbering
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.serving.rules.item_columns import ITEM_COLUMNS, as_arrow, load_item_columns, save_item_columns


def names_of_item_columns(run: Run, items: Vocabulary) -> list[str]:
    """What rules can ask of a run's items, beside ids and titles."""
    return list(load_item_columns(run.root / ITEM_COLUMNS, len(items)))


def write_item_columns(run: Run, numbering: Numbering, came: pa.Table | None, folder: Path) -> None:
    """Those of the run, by today's numbers; a cell of a row that came takes the place of what was known.

    Raises:
        InputError: a column that came is of another kind than that of the run.
    """
    n_before = int((numbering.items_before > 0).sum())
    before = {name: as_arrow(column) for name, column in load_item_columns(run.root / ITEM_COLUMNS, n_before).items()}
    named = {} if came is None else {name: came[name].combine_chunks() for name in came.column_names}
    ids = named.pop(columns.ITEM_ID, None)
    named.pop(columns.TITLE, None)
    place = numbering.items_before[1:].astype(np.int64) - 1
    row = None if ids is None else pc.index_in(numbering.items.ids, value_set=ids)
    table = {columns.ITEM_ID: numbering.items.ids}
    for name in dict.fromkeys([*before, *named]):
        known, new = before.get(name), named.get(name)
        if known is not None:
            known = known.take(pa.array(place, mask=place < 0))
        if new is not None:
            new = (new if known is None else _like(new, known.type, name)).take(row)
        table[name] = new if known is None else known if new is None else pc.coalesce(new, known)
    save_item_columns(pa.table(table), numbering.items, folder)


def _like(values: pa.Array, wanted: pa.DataType, name: str) -> pa.Array:
    """As the run has them; a float32 as it is written, so that 0.1 stays 0.1."""
    try:
        return (values.cast(pa.string()) if pa.types.is_float32(values.type) else values).cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"items: column {shown(name)} is {values.type}, in the run it is {wanted}; give it as that"
        ) from error
