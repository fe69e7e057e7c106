"""What kind of file this is: by its first bytes where they say so, else by its suffix, whatever its case."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa

from belfry.dataset.errors import InputError, TableError

Kind: TypeAlias = Literal["csv", "json", "parquet", "arrow", "zip"]

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".tab", ".psv")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
PACKED_SUFFIXES = (".gz", ".bz2", ".zst", ".lz4")
PLAIN_SUFFIXES = (*CSV_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES, *ARROW_SUFFIXES)
TEXT_SUFFIXES = (*CSV_SUFFIXES, *JSON_SUFFIXES)
SUFFIXES = (*PLAIN_SUFFIXES, ".zip", *(one + packed for one in TEXT_SUFFIXES for packed in PACKED_SUFFIXES))
READ_ME = ("readme", "license", "licence")  # names of texts that lie beside tables

_KIND_BY_SUFFIX: dict[str, Kind] = {
    **dict.fromkeys(CSV_SUFFIXES, "csv"),
    **dict.fromkeys(JSON_SUFFIXES, "json"),
    **dict.fromkeys(PARQUET_SUFFIXES, "parquet"),
    **dict.fromkeys(ARROW_SUFFIXES, "arrow"),
    ".zip": "zip",
}
_KIND_BY_BYTES: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),  # a stream
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # without members
)
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"))
_SAVE_AS = "save it as CSV or Parquet"
_FOREIGN = {
    b"\xfd7zXZ\0": "is packed by xz: unpack it (unxz)",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive: unpack it",
    b"Rar!": "is a RAR archive: unpack it",
    b"\xd0\xcf\x11\xe0": f"is an Excel file: {_SAVE_AS}",
    b"SQLite format 3\0": f"is an SQLite database: {_SAVE_AS}",
    b"\x89HDF": f"is HDF5: {_SAVE_AS} (pandas.read_hdf)",
    b"\x93NUMPY": f"is an array of NumPy: {_SAVE_AS}",
    b"\x80\x02": f"is a pickle, which Belfry never opens: {_SAVE_AS}",
    b"\x80\x03": f"is a pickle, which Belfry never opens: {_SAVE_AS}",
    b"\x80\x04": f"is a pickle, which Belfry never opens: {_SAVE_AS}",
    b"\x80\x05": f"is a pickle, which Belfry never opens: {_SAVE_AS}",
    b"%PDF": f"is a PDF: {_SAVE_AS}",
    b"ORC": f"is ORC: {_SAVE_AS}",
    b"Obj\x01": f"is Avro: {_SAVE_AS}",
    b"PARE": f"is encrypted Parquet: {_SAVE_AS}, without encryption",
    b"version https://git-lfs": "is a pointer of Git LFS, and not the file: fetch that (git lfs pull)",
    b"/annex/objects/": "is a pointer of git-annex, and not the file: fetch that (git annex get)",
    b"\x89PNG": "is a picture",
    b"\xff\xd8\xff": "is a picture",
    b"GIF8": "is a picture",
}
_FOREIGN_SUFFIXES = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), f"is a spreadsheet: {_SAVE_AS}"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), f"is a pickle, which Belfry never opens: {_SAVE_AS}"),
    **dict.fromkeys((".tar", ".tgz", ".7z", ".rar", ".xz"), "is an archive: unpack it"),
    **dict.fromkeys((".h5", ".hdf5", ".npy", ".npz", ".mat", ".db", ".sqlite", ".orc", ".avro", ".xml", ".html"),
                    f"is of a kind that Belfry does not read: {_SAVE_AS}"),
}  # fmt: skip
_MARKUP = (b"<!", b"<html", b"<head", b"<body", b"<table", b"<?xml")
_BEGINS_AS_JSON = re.compile(rb"\{[\"']|\[\s*\{\s*[\"']")
_HEAD = 64  # bytes that tell the kind
_READ = "Belfry reads CSV, JSON lines, Parquet and Arrow files, folders of them, and a zip of them"
_CHUNK = 1 << 24
MAX_UNPACKED = 1 << 30  # beyond it a ratio above MAX_RATIO is that of a bomb
MAX_RATIO = 200


@dataclass(frozen=True)
class Opened:
    """What a file holds, unpacked; `content` is None where the file is better read in place."""

    kind: Kind
    content: bytes | None
    notes: tuple[str, ...] = ()


def open_file(path: Path) -> Opened:
    """The kind of a file, and its content where that is text or was packed.

    Raises:
        TableError: it is empty, or damaged, or of a kind that Belfry does not read; the message says what to do.
    """
    if not path.is_file():
        raise InputError(f"{path}: is no regular file; write the table to one")
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if not head:
            raise TableError(f"{path}: is empty; a table needs a header and rows")
        if not _codec_of(head):
            kind, notes = _kind(str(path), path.name, head)
            if kind not in ("csv", "json"):
                return Opened(kind, None, notes)
        file.seek(0)
        return open_content(str(path), path.name, file.read())


def open_content(label: str, name: str, content: bytes) -> Opened:
    """Likewise, of what a file or a member of an archive holds.

    Args:
        label: what messages call it.
        name: what its suffix is read from.
    """
    if not content:
        raise TableError(f"{label}: is empty; a table needs a header and rows")
    codec = _codec_of(content)
    if codec:
        content = _unpacked(label, content, codec)
        name = str(Path(name).with_suffix("")) if name.lower().endswith(PACKED_SUFFIXES) else name
        if not content:
            raise TableError(f"{label}: is empty; a table needs a header and rows")
    elif name.lower().endswith(PACKED_SUFFIXES):
        raise TableError(f"{label}: is not packed, though its name says so; rename it, or fetch it again")
    kind, notes = _kind(label, name, content[:_HEAD])
    return Opened(kind, content, notes)


def is_text(path: Path) -> bool:
    """Whether a file is text, packed or not; a folder is none, nor what is not there."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return bool(_codec_of(head)) or _kind(str(path), path.name, head)[0] in ("csv", "json")


def is_foreign(name: str) -> bool:
    """Whether a file of this name holds no table by its suffix."""
    return not name.lower().endswith(SUFFIXES)


def _codec_of(head: bytes) -> str | None:
    return next((codec for magic, codec in _PACKED if head.startswith(magic)), None)


def _kind(label: str, name: str, head: bytes) -> tuple[Kind, tuple[str, ...]]:
    suffix = Path(name).suffix.lower()
    foreign = next((words for magic, words in _FOREIGN.items() if head.startswith(magic)), None)
    if foreign := foreign or _FOREIGN_SUFFIXES.get(suffix):
        raise InputError(f"{label}: {foreign}; {_READ}")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.lower().startswith(_MARKUP):
        raise InputError(f"{label}: is a page of HTML or XML, and no table: look at it, and fetch the table; {_READ}")
    by_suffix = _KIND_BY_SUFFIX.get(suffix)
    by_bytes = next((kind for magic, kind in _KIND_BY_BYTES if head.startswith(magic)), None)
    if by_bytes is None:
        if _BEGINS_AS_JSON.match(start) and by_suffix in ("csv", None):
            return "json", ("read as JSON lines, which it begins like",)
        if by_suffix in ("parquet", "arrow") and head.isascii() and all(byte >= 9 for byte in head):
            raise TableError(
                f"{label}: cannot be read: it holds text and no {by_suffix}; call it .csv, or fetch it again"
            )
        return by_suffix or "csv", ()
    if by_suffix in (by_bytes, None):
        return by_bytes, ()
    return by_bytes, (f"read as {by_bytes}, which it is by its first bytes, whatever its suffix says",)


def _unpacked(label: str, content: bytes, codec: str) -> bytes:
    """The whole content; streams in one file follow one another.

    Raises:
        TableError: it is damaged, or grows as an archive bomb does.
    """
    parts, size = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(content), codec) as stream:
            while part := stream.read(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > MAX_UNPACKED and size > MAX_RATIO * len(content):
                    raise TableError(
                        f"{label}: unpacks to more than {size:,} bytes, as an archive bomb does; unpack it"
                    )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TableError(f"{label}: is damaged: it cannot be unpacked ({codec}); fetch it again") from error
    return b"".join(parts)
