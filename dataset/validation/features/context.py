"""Context columns of the interactions, read as text; `hour` and `weekday` are made of times instead."""

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.context import CLOCK
from belfry.dataset.encoding.text import empty_as_null
from belfry.dataset.validation.cleaning import Cleaning
from belfry.dataset.validation.features.read import as_spelled
from belfry.dataset.validation.policy import Policy


def read_context_columns(cleaning: Cleaning, policy: Policy) -> None:
    """Those that `data.context_columns` names; a null or an empty text is an absent context."""
    names = cleaning.table.column_names
    for name in policy.context_columns:
        if name not in CLOCK:
            if cleaning.require(name):
                cleaning.read(name, as_context, null_words=policy.null_words)
        elif name in names:
            text = f"is made of {columns.TIMESTAMP_S!r}; call a column of your own otherwise, such as 'local_{name}'"
            cleaning.note("context", text, name, action="error")
        elif columns.TIMESTAMP_S not in names:
            text = f"is named in data.context_columns and made of {columns.TIMESTAMP_S!r}, which is missing"
            cleaning.note("context", text, name, action="error")


def as_context(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as text, without blanks around them."""
    return empty_as_null(pc.utf8_trim_whitespace(as_spelled(column)))
