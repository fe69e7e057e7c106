"""Arrays of a saved model, held against what its family says of them: no later call meets one of another form."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from belfry.dataset.errors import ArtifactError
from belfry.layers.saved.files import Array

_KINDS = {"f": "floating point", "i": "integers", "U": "text"}
_LARGEST = 1e15  # products of two such, and their sums, are finite in single precision


class ArrayForm(NamedTuple):
    """What an array is: its kind, as NumPy has it, and its lengths; those of one name are equal."""

    kind: str
    shape: tuple[str | int, ...]


ArrayForms: TypeAlias = Mapping[str, ArrayForm]  # by the names of arrays


def numbers(*shape: str | int) -> ArrayForm:
    """Floating point, finite."""
    return ArrayForm("f", shape)


def counts(*shape: str | int) -> ArrayForm:
    """Integers, none below 0."""
    return ArrayForm("i", shape)


def texts(*shape: str | int) -> ArrayForm:
    return ArrayForm("U", shape)


def check_arrays(place: object, arrays: Mapping[str, Array], forms: ArrayForms) -> None:
    """Hold each array that has a form against it, and the lengths of all against one another.

    Args:
        place: of the arrays, for messages.

    Raises:
        ArtifactError: one is missing, of another form, or holds what no model learns.
    """
    lengths: dict[str | int, int] = {}
    for name, (kind, shape) in forms.items():
        array = arrays.get(name)
        if array is None:
            raise ArtifactError(f"{place}: the array {name!r} is missing; train again")
        is_alike = array.dtype.kind == kind and array.ndim == len(shape)
        if not is_alike or any(
            lengths.setdefault(length, length if isinstance(length, int) else found) != found
            for length, found in zip(shape, array.shape, strict=True)
        ):
            wanted = ", ".join(str(lengths.get(length, length)) for length in shape)
            raise ArtifactError(
                f"{place}: {name!r} holds {array.dtype} of the shape {array.shape}, wanted {_KINDS[kind]} of the shape "
                f"({wanted}); train again"
            )
        if kind == "f" and array.size and not -_LARGEST <= array.min() <= array.max() <= _LARGEST:
            raise ArtifactError(f"{place}: {name!r} holds NaN, infinity or numbers above {_LARGEST:g}; train again")
        if kind == "i" and array.size and array.min() < 0:
            raise ArtifactError(f"{place}: {name!r} holds numbers below 0; train again")
