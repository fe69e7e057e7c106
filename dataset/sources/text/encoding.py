"""Text of any encoding as UTF-8, and where it is none."""

from belfry.dataset.errors import TableError

_BOM = b"\xef\xbb\xbf"
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_HEAD = 4096


def as_utf8(label: str, content: bytes, encoding: str | None) -> tuple[bytes, tuple[str, ...]]:
    """The content without its byte order mark, and what is to be noted; UTF-8 itself is not looked at.

    Raises:
        TableError: it is not in the encoding asked for, or not in UTF-8 by signs that need no look at all of it.
    """
    if content.startswith(_BOM):
        ignored = encoding is not None and not _is_utf8(encoding)
        return content[len(_BOM) :], (f"read as UTF-8, as its mark says, and not as {encoding}",) if ignored else ()
    mark = next((name for magic, name in _MARKS if content.startswith(magic)), None)
    notes: tuple[str, ...] = ()
    if mark is not None:
        content, notes = _decoded(label, content, mark), (f"read as {mark.upper()}, as its mark says",)
    elif encoding is not None:
        notes = _doubt(content, encoding) if not content.isascii() else ()
        content = _decoded(label, content, encoding)
    place = content.find(b"\0")
    if place >= 0:
        head = content[:_HEAD]
        if not head.strip(b"\0"):
            raise TableError(f"{label}: holds nothing but bytes 0, as a download that broke off; fetch it again")
        for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
            if zeros.count(0) > len(head) // 4:
                raise TableError(f"{label}: looks like UTF-16 without its mark; pass --encoding {encoding}")
        raise TableError(
            f"{label}: line {line_of(content, place)} holds a byte 0, which is no text; remove it, name the encoding "
            "by --encoding, or fetch the file again"
        )
    return content, notes


def refuse_other_than_utf8(label: str, content: bytes) -> None:
    """Raise where content is not UTF-8, naming the line and the byte.

    Raises:
        TableError: it is not.
    """
    try:
        content.decode()
    except UnicodeDecodeError as error:
        guess = "cp1252" if 0x80 <= content[error.start] < 0xA0 else "latin-1"
        raise TableError(
            f"{label}: is not UTF-8: line {line_of(content, error.start)} holds the byte 0x{content[error.start]:02x} "
            f"(byte {error.start + 1:,} of the text); pass --encoding {guess}, or whichever it is, or convert it: "
            f"iconv -f {guess} -t utf-8"
        ) from error


def line_of(content: bytes, place: int) -> int:
    """The line of the file that a byte stands in, from 1."""
    head = content[:place]
    return head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n") + 1


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _decoded(label: str, content: bytes, encoding: str) -> bytes:
    try:
        return content.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        raise TableError(
            f"{label}: is not {encoding}: the byte {place + 1:,} cannot be read so; name the encoding by --encoding, "
            "or "
            "write the file again"
        ) from error


def _doubt(content: bytes, encoding: str) -> tuple[str, ...]:
    """A line where the content is UTF-8 too, though it was asked for as another encoding."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return ()
    if _is_utf8(encoding):
        return ()
    return (f"read as {encoding}, as asked, though it is also UTF-8; leave the encoding out if letters look wrong",)
