"""Arrays of a saved model, held against what its family says of them: no later call meets one of another form."""

import re
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, TypeAlias

from belfry.dataset.errors import ArtifactError
from belfry.layers.saved.files import Array

_KINDS = {"f": "floating point", "i": "integers", "U": "text"}
_SUM = re.compile(r"(n_\w+) \+ (\d)")
_SMALLEST = 1e-12  # of what something is divided by
_LARGEST = 1e15  # products of two such, and their sums, are finite in single precision


class ArrayForm(NamedTuple):
    """What an array is: its kind, as NumPy has it, and its lengths.

    Those of one name are equal; "n_items + 1" is one more than "n_items".
    """

    kind: str
    shape: tuple[str | int, ...]
    least: float | None = None


ArrayForms: TypeAlias = Mapping[str, ArrayForm]  # by the names of arrays
Lengths: TypeAlias = dict[str, int]  # by their names in forms, without what is added to them there


def numbers(*shape: str | int) -> ArrayForm:
    """Floating point, finite."""
    return ArrayForm("f", shape)


def positive(*shape: str | int) -> ArrayForm:
    """Floating point, above 0."""
    return ArrayForm("f", shape, _SMALLEST)


def counts(*shape: str | int) -> ArrayForm:
    """Integers, none below 0."""
    return ArrayForm("i", shape, 0)


def integers(*shape: str | int) -> ArrayForm:
    return ArrayForm("i", shape)


def texts(*shape: str | int) -> ArrayForm:
    return ArrayForm("U", shape)


def check_arrays(place: object, arrays: Mapping[str, Array], forms: ArrayForms) -> Lengths:
    """Hold each array that has a form against it, and the lengths of all against one another.

    Args:
        place: of the arrays, for messages.

    Raises:
        ArtifactError: one is missing, of another form, or holds what no model learns.
    """
    lengths: Lengths = {}
    for name, (kind, shape, least) in forms.items():
        array = arrays.get(name)
        if array is None:
            raise ArtifactError(f"{place}: the array {name!r} is missing; train again")
        is_alike = array.dtype.kind == kind and array.ndim == len(shape)
        if not is_alike or not all(map(partial(_fits, lengths), shape, array.shape)):
            raise ArtifactError(
                f"{place}: {name!r} holds {array.dtype} of the shape {array.shape}, wanted {_KINDS[kind]} of the shape "
                f"({', '.join(_shown(lengths, length) for length in shape)}); train again"
            )
        if kind == "f" and array.size and not -_LARGEST <= array.min() <= array.max() <= _LARGEST:
            raise ArtifactError(f"{place}: {name!r} holds NaN, infinity or numbers above {_LARGEST:g}; train again")
        if least is not None and array.size and array.min() < least:
            raise ArtifactError(f"{place}: {name!r} holds numbers below {least}; train again")
    return lengths


def check_lengths(place: object, lengths: Lengths, known: Lengths) -> None:
    """Hold the lengths of arrays against those that are known otherwise.

    Raises:
        ArtifactError: one is another.
    """
    for name, found in lengths.items():
        if known.get(name, found) != found:
            raise ArtifactError(f"{place}: is of {found:,} {name}, the run has {known[name]:,}; train again")


def _fits(lengths: Lengths, length: str | int, found: int) -> bool:
    if isinstance(length, int):
        return length == found
    name, more = _parts(length)
    return lengths.setdefault(name, found - more) == found - more


def _shown(lengths: Lengths, length: str | int) -> str:
    name, more = _parts(str(length))
    return str(lengths[name] + more if name in lengths else length)


def _parts(length: str) -> tuple[str, int]:
    """Of "n_items + 1": "n_items" and 1."""
    found = _SUM.fullmatch(length)
    return (found[1], int(found[2])) if found else (length, 0)
