"""Files of a saved model, read as data: arrays and settings, none of which can run code or be larger than its file."""

import ast
import io
import json
import math
import zipfile
from collections.abc import Iterable, Mapping
from mmap import mmap
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from belfry.dataset.errors import ArtifactError

Array: TypeAlias = npt.NDArray[Any]
Content: TypeAlias = bytes | mmap  # of a file
ModelType = TypeVar("ModelType", bound=BaseModel)

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 4096  # bytes that say what an array is
_KINDS = "biufU"  # numbers and texts; no objects, which only pickle can hold, and no records
_ARRAYS, _IN_FILES = "arrays.npz", "in files of their own"
_LARGE = 1 << 20  # bytes of an array that has a file of its own
_MAX_SETTINGS = 16 << 20  # bytes of JSON


class ReadablePath(Protocol):
    """A file or a folder to read from: a `pathlib.Path`, or one of a run, which is checked as it is read."""

    def __truediv__(self, name: str, /) -> "ReadablePath": ...

    def read_bytes(self) -> bytes: ...

    def exists(self) -> bool: ...


@runtime_checkable
class MappablePath(ReadablePath, Protocol):
    """A file of a run, which may lie in memory as a map of the file: whoever else maps it shares its pages."""

    def map_bytes(self) -> Content: ...


def read_settings(path: ReadablePath, model: type[ModelType]) -> ModelType:
    """The JSON in a file.

    Raises:
        ArtifactError: it is none, or not of this model; names the first thing that is wrong.
    """
    content = path.read_bytes()
    if len(content) > _MAX_SETTINGS:
        raise ArtifactError(f"{path}: {len(content):,} bytes of settings, {_MAX_SETTINGS:,} at most; train again")
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise ArtifactError(f"{path}: {place}{': ' * bool(place)}{first['msg'][:200]}; train again") from error


def read_array(path: ReadablePath) -> Array:
    """The array in an .npy file, read-only; it lies in what was read or mapped, and takes no more than that.

    Raises:
        ArtifactError: it holds no array of numbers or texts, or another count of them than it says.
    """
    return parse_array(path.map_bytes() if isinstance(path, MappablePath) else path.read_bytes(), str(path))


def read_arrays(path: ReadablePath) -> dict[str, Array]:
    """All arrays that `write_arrays` wrote, as `read_array` reads each; one that is packed is refused: it might grow.

    Raises:
        ArtifactError: the file is none of ours.
    """
    members: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if member.compress_type != zipfile.ZIP_STORED or name in members:
                    raise ArtifactError(f"{path}: array {name[:100]!r} is packed or there twice; train again")
                members[name] = parse_array(archive.read(member), f"{path}: array {name[:100]!r}")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: is no file of arrays ({error}); train again") from error
    names = _names_in(members.pop("arr_0", None), path)
    if members.keys() != {f"arr_{place}" for place in range(1, len(names) + 1)}:
        raise ArtifactError(f"{path}: holds other arrays than it names; train again")
    return {name: members[f"arr_{place}"] for place, name in enumerate(names, 1)}


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Arrays of any names: a name may be that of a user's column, and a member of an archive cannot bear each."""
    np.savez(path, _as_bytes(arrays), *arrays.values())


def _as_bytes(names: Iterable[str]) -> Array:
    """Names as an array: JSON, which takes all of them."""
    return np.frombuffer(json.dumps(list(names)).encode(), np.uint8)


def _names_in(array: Array | None, path: ReadablePath) -> list[str]:
    """What `_as_bytes` made an array of."""
    try:
        names = json.loads(array.tobytes()) if array is not None else None
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or len(set(map(str, names))) < len(names):
        raise ArtifactError(f"{path}: does not name its arrays; train again")
    return [str(name) for name in names]


def save_arrays(directory: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays into a new folder, the large ones each into a file of its own.

    These are mapped when they are read from a run; and two of them that are equal are equal files.
    """
    directory.mkdir()
    large = sorted(name for name, values in arrays.items() if values.nbytes >= _LARGE)
    for number, name in enumerate(large):
        np.save(directory / f"{number}.npy", np.ascontiguousarray(arrays[name]))
    small = {name: values for name, values in arrays.items() if name not in large}
    write_arrays(directory / _ARRAYS, {_IN_FILES: _as_bytes(large), **small})


def load_arrays(directory: ReadablePath) -> dict[str, Array]:
    """What `save_arrays` wrote.

    Raises:
        ArtifactError: as `read_array` and `read_arrays`.
    """
    arrays = read_arrays(directory / _ARRAYS)
    large = _names_in(arrays.pop(_IN_FILES, None), directory / _ARRAYS)
    return arrays | {name: read_array(directory / f"{number}.npy") for number, name in enumerate(large)}


def parse_array(content: Content, name: str) -> Array:
    """`read_array` of what was read; `name` stands in messages."""
    try:
        dtype, in_columns, shape, start = _header(content)
    except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError) as error:
        raise ArtifactError(f"{name}: is no array ({str(error)[:100]}); train again") from error
    if dtype.kind not in _KINDS or not dtype.isnative or not dtype.itemsize:  # "<U0" has room in memory alone
        raise ArtifactError(f"{name}: holds {str(dtype)[:100]}, wanted numbers or texts; train again")
    count, found = math.prod(shape), len(content) - start
    if count * dtype.itemsize != found:
        raise ArtifactError(
            f"{name}: says that it has the shape {shape}, which takes {count * dtype.itemsize:,} bytes, and holds "
            f"{found:,}; train again"
        )
    if not found:
        return np.empty(shape, dtype)
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if in_columns else "C")


def _header(content: Content) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """What an array is, whether columns come first, its shape, and where it starts."""
    if content[:6] != _MAGIC or content[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError("another kind of file")
    start = 10 if content[6] == 1 else 12
    end = start + int.from_bytes(content[8:start], "little")
    if end > min(len(content), _MAX_HEADER):
        raise ValueError("its header is cut or too long")
    header = ast.literal_eval(content[start:end].decode("utf-8").strip())
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header is not that of an array")
    descr, shape = header["descr"], header["shape"]
    if not isinstance(descr, str) or not isinstance(shape, tuple):
        raise ValueError("its header is not that of plain values")
    if len(shape) > 8 or not all(type(length) is int and 0 <= length < 1 << 48 for length in shape):
        raise ValueError("its shape is none")
    return np.dtype(descr), bool(header["fortran_order"]), shape, end
