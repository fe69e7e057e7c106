"""CSV as people write it: read as it was meant, or refused by its cause, with the line."""

from pathlib import Path

import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.reading import RawTable, Reading
from belfry.dataset.sources.tabular import read_raw

ROWS = [("user_id", "item_id", "rating"), ("1", "115", "5"), ("1", "105", "1"), ("2", "101", "3")]
EXPECTED = [(1, 115, 5), (1, 105, 1), (2, 101, 3)]


def raw(tmp_path: Path, text: str | bytes, name: str = "t.csv", **said: str) -> RawTable:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_raw(tmp_path / name, Reading.of(None, said.get("delimiter"), said.get("encoding")))


def rows(table: RawTable) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in table.table.to_pylist()]


def refusal(tmp_path: Path, text: str | bytes, name: str = "t.csv", **said: str) -> str:
    with pytest.raises(InputError) as caught:
        raw(tmp_path, text, name, **said)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "::"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found(tmp_path: Path, delimiter: str, end: str) -> None:
    assert rows(raw(tmp_path, end.join(map(delimiter.join, ROWS)) + end)) == EXPECTED
    quoted = end.join(delimiter.join(f'"{cell}"' for cell in row) for row in ROWS)
    assert rows(raw(tmp_path, quoted)) == EXPECTED


def test_a_delimiter_inside_cells_is_not_taken_for_the_one_between(tmp_path: Path) -> None:
    text = "item_id;title;year\n1;a, b, c, d;1999\n2;e, f, g;2000\n"
    assert rows(raw(tmp_path, text)) == [(1, "a, b, c, d", 1999), (2, "e, f, g", 2000)]


def test_delimiters_that_are_said(tmp_path: Path) -> None:
    assert rows(raw(tmp_path, "\n".join(map(" ".join, ROWS)), delimiter=" ")) == EXPECTED
    assert rows(raw(tmp_path, "\n".join(map("^".join, ROWS)), delimiter="^")) == EXPECTED
    other = raw(tmp_path, "\n".join(map(",".join, ROWS)), delimiter=";")
    assert rows(other) == EXPECTED
    assert other.notes == ("no ';' in its first line; its own delimiter is read",)
    assert "its cells are parted by blanks; pass --delimiter ' '" in refusal(tmp_path, "\n".join(map(" ".join, ROWS)))


def test_double_colons_inside_quotes_stay(tmp_path: Path) -> None:
    assert rows(raw(tmp_path, 'item_id::title\n1::"a::b"\n2::c\n')) == [(1, "a::b"), (2, "c")]
    assert "line 2 holds ':::', which can be read in two ways" in refusal(tmp_path, "item_id::title\n1:::b\n")


def test_the_line_of_a_spreadsheet_is_left_out(tmp_path: Path) -> None:
    found = raw(tmp_path, "sep=;\r\n" + "\r\n".join(map(";".join, ROWS)))
    assert rows(found) == EXPECTED
    assert found.notes == ("left out the first line, 'sep=;'",)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "1\t115\t5\n1\t105\t1\n2\t101\t3\n",
            "line 1 holds values ('1', '115', '5'), and not the names of the columns",
        ),
        ("u1,i7\nu1,i8\nu2,i7\n", "line 1 holds values ('u1', 'i7'), and not the names"),
        ("1\n2\n3\n", "line 1 holds values ('1'), and not the names of the columns; .* such as 'user_id'"),
        ("1 115 105 101\n2 7\n", "its lines are lists of 2 to 4 numbers parted by blanks"),
        ("1 115\n2 7\n", "line 1 holds numbers parted by blanks, and not the names"),
        ("101:\n1,1\n2,3\n", "blocks begin with a line such as '101:'"),
        ("\nuser_id,item_id\n", "begins with an empty line"),
        ("sep=;\n\nuser_id;item_id\n", "has an empty line after the first one"),
        ("user_id,item_id\n1,2\n3,4,5\n", "line 3 has 3 cells parted by ',', and the header names 2 columns"),
        ('user_id,title\n1,"a\nb"\n3\n', "line 4 has 1 cells .* write ',' for each cell that is empty too"),
        ("user_id,item_id\n1,\x002\n", "line 2 holds a byte 0"),
        ("user_id,item_id\n1,2\nin all 1\n", "line 3 has 1 cells .*, or remove a line that is no row"),
        ("user_id,item_id\n1;2\n", "line 2 has 1 cells .*; it is parted by ';'; part all lines alike"),
        ('user_id,item_id\n"1,""2"""\n', "line 2 has 1 cells .* the line as a whole stands in quotes"),
        ('"user_id,item_id"\n"1,2"\n', "line 1: the line as a whole stands in quotes, as one cell; remove those"),
        ("user_id~item_id\n1~2\n", "its cells are parted by '~'; pass --delimiter '~', or"),
        ("userId\x01movieId\n1\x012\n", r"pass --delimiter \$'\\x01', or part them by commas"),
    ],
)
def test_no_table_is_told_by_its_cause(tmp_path: Path, text: str, cause: str) -> None:
    import re

    assert re.search(cause.replace("(", r"\(").replace(")", r"\)"), refusal(tmp_path, text))


def test_names_that_look_like_values_are_names_beside_a_known_one(tmp_path: Path) -> None:
    assert rows(raw(tmp_path, "user_id,2019,2020\n1,5,6\n")) == [(1, 5, 6)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marks_say_the_encoding(tmp_path: Path, encoding: str) -> None:
    assert rows(raw(tmp_path, "user_id,title\n1,Übung 北京\n".encode(encoding))) == [(1, "Übung 北京")]


def test_other_encodings_are_told_with_their_line_and_read_when_said(tmp_path: Path) -> None:
    content = "user_id,title\n1,plain\n2,Müller\n".encode("latin-1")
    message = refusal(tmp_path, content)
    assert "is not UTF-8: line 3 holds the byte 0xfc (byte 26 of the text); pass --encoding latin-1" in message
    assert "iconv -f latin-1 -t utf-8" in message
    assert rows(raw(tmp_path, content, encoding="latin-1")) == [(1, "plain"), (2, "Müller")]
    assert "pass --encoding utf-16-le" in refusal(tmp_path, "user_id,title\n1,a\n".encode("utf-16-le"))
    names = "user_id,item_id,título\n1,2,3\n".encode("latin-1")
    assert "is not UTF-8: line 1 holds the byte 0xed" in refusal(tmp_path, names)
    assert "is not ascii: the byte 26 cannot be read so" in refusal(tmp_path, content, encoding="ascii")
    both = raw(tmp_path, "user_id,title\n1,ü\n", encoding="latin-1")
    assert both.notes == (
        "read as latin-1, as asked, though it is also UTF-8; leave the encoding out if letters look wrong",
    )


def test_lone_quotes_of_a_file_that_knows_no_quoting(tmp_path: Path) -> None:
    text = 'item_id\ttitle\tkind\n1\tA\tx\n2\t"Heroes\ty\n3\tB\tx\n4\t"Live, 7 inch\ty\n'
    found = raw(tmp_path, text)
    assert [row[1] for row in rows(found)] == ["A", '"Heroes', "B", '"Live, 7 inch']
    assert found.notes[0].startswith("quotes are read as signs like others, for a quote opens in line 3 and swallows")


def test_lone_quotes_at_both_ends_of_swallowed_lines(tmp_path: Path) -> None:
    """The one quote opens a cell and the other closes one, so that only the lines between say that they are rows."""
    text = 'item_id\ttitle\tkind\n1\tA\tx\n2\t"Heroes\ty\n3\tB\tx\n4\tLive"\ty\n5\tC\tx\n'
    assert [row[1] for row in rows(raw(tmp_path, text))] == ["A", '"Heroes', "B", 'Live"', "C"]


def test_one_or_two_other_rows_are_no_pattern_that_swallowed_lines_break(tmp_path: Path) -> None:
    """Numbers for titles there say nothing of the lines between two lone quotes."""
    for n_others in (1, 2):
        text = "item_id,title\n" + "1,0\n" * n_others + '2,"\n3,Heroes\n4,"\n'
        assert [row[1] for row in rows(raw(tmp_path, text))] == ["0"] * n_others + ['"', "Heroes", '"']


def test_lone_quotes_among_quoted_cells_are_refused_by_their_lines(tmp_path: Path) -> None:
    lines = ["item_id,title", '1,"A, b"', '2,"Heroes', "3,B", '4,"Live, x"']
    assert "a quote opens in line 3 and swallows the lines up to 5" in refusal(tmp_path, "\n".join(lines))
    assert "a quote opens in line 3 and is never closed" in refusal(tmp_path, "\n".join(lines[:4]))
    inner = refusal(tmp_path, 'item_id,title\n1,"A, b"\n2,"say "hi" now"\n')
    assert "line 3 has a quote inside a cell" in inner and 'write "" for a quote' in inner


def test_quotes_inside_of_cells_stand_for_themselves(tmp_path: Path) -> None:
    assert rows(raw(tmp_path, 'item_id,title\n1,7" single\n2,"5"" flat"\n')) == [(1, '7" single'), (2, '5" flat')]


def test_line_breaks_in_well_quoted_cells_stay(tmp_path: Path) -> None:
    text = 'item_id,title,kind\n1,"two\nlines",x\n2,"three\n\nlines, with ""quotes""",y\n3,plain,x\n\n'
    assert [row[1] for row in rows(raw(tmp_path, text))] == ["two\nlines", 'three\n\nlines, with "quotes"', "plain"]


def test_a_backslash_before_a_quote(tmp_path: Path) -> None:
    text = 'item_id;title;kind\n"1";"plain";"a"\n"2";"say \\"one\\"; two";"b"\n'
    found = raw(tmp_path, text)
    assert rows(found) == [(1, "plain", "a"), (2, 'say "one"; two', "b")]
    assert found.notes == ("a backslash before a quote (2 times, first in line 3) is read as its escape",)
    paths = raw(tmp_path, 'item_id,title\n"1","C:\\"\n"2","D:\\"\n')
    assert [row[1] for row in rows(paths)] == ["C:\\", "D:\\"]
    mixed = refusal(tmp_path, 'item_id;title\n"1";"a \\"b\\" c"\n"2";"d "e" f"\n')
    assert "line 2 has a quote inside a cell" in mixed and "no escape here" in mixed


def test_types_that_only_later_rows_tell(tmp_path: Path) -> None:
    """Arrow settles on types by the first megabyte; a later value must not be an error."""
    n = 200_000
    lines = ["user_id,score,code", *(f"{k},{k % 5},{k % 7:03}" for k in range(n)), "1,2.5,x1"]
    table = raw(tmp_path, "\n".join(lines)).table
    assert table["score"].to_pylist()[-2:] == [(n - 1) % 5, 2.5]
    assert table["code"].to_pylist()[:2] + table["code"].to_pylist()[-1:] == ["000", "001", "x1"]


def test_rows_that_are_longer_than_a_block(tmp_path: Path) -> None:
    long = "x" * (3 << 20)
    assert rows(raw(tmp_path, f"item_id,title\n1,{long}\n2,b\n")) == [(1, long), (2, "b")]


def test_blanks_around_names_are_no_part_of_them(tmp_path: Path) -> None:
    found = raw(tmp_path, "user_id, item_id\n1,2\n")
    assert found.table.column_names == ["user_id", "item_id"]
    assert found.notes == ("names of columns are read without their outer blanks: 'item_id'",)


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert raw(tmp_path, "user_id,item_id\n").table.num_rows == 0
    with pytest.raises(TableError, match="is empty; a table needs a header and rows"):
        raw(tmp_path, "")
