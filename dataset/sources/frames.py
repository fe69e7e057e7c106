"""Raw tables from pandas DataFrames."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from belfry.dataset.errors import InputError, TableError

if TYPE_CHECKING:
    import pandas as pd


def from_pandas(frame: object) -> pa.Table:
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"a table is a path, a pandas DataFrame or a pyarrow Table, not {type(frame).__name__}; convert it first"
        )
    names = [str(name) for name in frame.columns]
    return pa.table([_from_series(name, frame.iloc[:, i]) for i, name in enumerate(names)], names=names)


def _from_series(name: str, series: "pd.Series") -> pa.Array:
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _union_of(name, series.astype(object).tolist())


def _union_of(name: str, values: Iterable[Any]) -> pa.Array:
    """Values of several types as an Arrow union, which validation counts and refuses beside all else it finds."""
    import pandas as pd

    by_type: dict[str, list[Any]] = {}
    numbers, offsets = [], []
    for value in values:
        # A missing value belongs to whichever type comes first.
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        kind = next(iter(by_type), "str") if missing else type(value).__name__
        members = by_type.setdefault(kind, [])
        numbers.append(list(by_type).index(kind))
        offsets.append(len(members))
        members.append(None if missing else value)
    try:
        children = [pa.array(members) for members in by_type.values()]
        return pa.UnionArray.from_dense(
            pa.array(numbers, pa.int8()), pa.array(offsets, pa.int32()), children, list(by_type)
        )
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        kinds = ", ".join(sorted(by_type))
        raise TableError(
            f"column {name!r} holds values that Arrow has no type for (of {kinds}); convert or drop the column"
        ) from error
