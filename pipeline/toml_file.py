"""Files of TOML that somebody wrote, within bounds."""

import tomllib
from pathlib import Path
from typing import Any

from belfry.dataset.errors import InputError
from belfry.dataset.sources.reading import reason_of

MAX_DOTS = 1_000  # in a line: the parser's time grows with their square


def read_toml(path: Path, *, most_bytes: int) -> dict[str, Any]:
    """What a file says.

    Raises:
        InputError: it cannot be read, is larger than `most_bytes`, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a file of TOML") from error
    if len(content) > most_bytes:
        raise InputError(f"{path}: has more than {most_bytes:,} bytes; check the path")
    if any(line.count(b".") > MAX_DOTS for line in content.splitlines()):
        raise InputError(f"{path}: has a line of more than {MAX_DOTS:,} dots; break it")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of numbers with thousands of digits
        raise InputError(f"{path}: is no TOML ({reason_of(error)}); mend it there") from error
