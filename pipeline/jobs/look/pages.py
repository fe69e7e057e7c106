"""Pages as files: checked before the work starts, written whole or not at all."""

import os
from pathlib import Path

from belfry.dataset.errors import InputError
from belfry.dataset.sources.tabular import Source
from belfry.pipeline.runs.disk import check_writable, write_together


def check_page(path: Path) -> None:
    """Refuse a place where no page could be written.

    Raises:
        InputError: it is a folder, or its folder cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it, such as {path / 'page.html'}")
    check_writable(path.parent, remedy="name another file with --out")


def write_page(text: str, path: Path) -> None:
    """In place of what was there.

    Raises:
        InputError: it cannot be written there.
        BelfryError: the disk is full.
    """
    check_page(path)
    write_together(path.parent, {path.name: text})


def name_of(table: Source) -> str:
    """What people call a table."""
    return Path(table).name if isinstance(table, str | os.PathLike) else "the table"
