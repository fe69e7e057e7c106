"""A vector that comes with a call, as a column of one row."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from belfry.dataset.vocabulary import as_arrow


def vector_cell(value: Any, length: int) -> pa.FixedSizeListArray:
    """A list of numbers, or JSON of one.

    Raises:
        ValueError: what it is instead.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError("no JSON") from error
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError("no list")
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ValueError("no list of numbers") from error
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iuf"):
        raise ValueError("no list of numbers")
    if len(given) != length:
        raise ValueError(f"{len(given):,} numbers")
    with np.errstate(over="ignore"):
        numbers = given.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("not finite")
    if not numbers.any():
        raise ValueError("zeros alone")
    return pa.FixedSizeListArray.from_arrays(as_arrow(numbers), length)
