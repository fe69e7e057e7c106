"""What a notebook shows of a result: a small table of HTML, in which whatever strangers wrote is text."""

from collections.abc import Iterable, Sequence
from html import escape

from belfry.dataset.errors import printable

LONGEST_CELL = 200  # signs


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    """Styled as notebooks style the frames of pandas."""
    parts = ['<table class="dataframe">']
    if caption:
        parts.append(f'<caption style="text-align: left">{_text(caption)}</caption>')
    parts.append(f"<thead><tr>{_cells('th', head)}</tr></thead>")
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return "".join([*parts, f"<tbody>{body}</tbody></table>"])


def _cells(tag: str, values: Sequence[object]) -> str:
    return "".join(f"<{tag}>{_text(value)}</{tag}>" for value in values)


def _text(value: object) -> str:
    shown = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return escape(printable(shown, LONGEST_CELL))
