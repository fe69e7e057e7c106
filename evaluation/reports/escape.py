"""Markdown that holds what strangers wrote, such as titles: it is shown as text, and nothing of it comes alive."""

from collections.abc import Iterable, Sequence

from belfry.dataset.errors import printable

LONGEST_CELL = 200  # signs


def markdown_of(lines: Iterable[str]) -> str:
    """Lines as one text: no tag and no link comes alive, a line break inside a line breaks none.

    Reports have no tags and no links of their own.
    """
    return "\n".join(_escaped(line) for line in lines)


def markdown_row(cells: Sequence[str]) -> str:
    """A row of a table; a bar in a cell ends no cell."""
    shown = (printable(cell.replace("\n", " "), LONGEST_CELL) for cell in cells)
    escaped = (cell.replace("\\", "\\\\").replace("|", "\\|") for cell in shown)
    return f"| {' | '.join(escaped)} |"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table whose first column stands left, the others right."""
    return [markdown_row(head), markdown_row(["---", *["---:"] * (len(head) - 1)]), *map(markdown_row, rows)]


def _escaped(line: str) -> str:
    """One line, with the empty one that may follow a paragraph."""
    body = printable(line.removesuffix("\n"), 1 << 20)
    body = body.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]&#40;")
    return f"{body}\n" if line.endswith("\n") else body
