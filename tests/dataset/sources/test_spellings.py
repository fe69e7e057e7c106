"""Tables written in random spellings are read back as they were, or refused in words; never as other ones."""

import bz2
import csv
import gzip
import io
import random
import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.dataset.errors import InputError
from belfry.dataset.sources.tabular import read_raw

PACKERS = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda content: pa.Codec("zstd").compress(content).to_pybytes(),
}
WORDS = ("Heroes", 'a "quote"', '"Heroes', "7\" inch", "one, two", "tab\there", "semi;colon", "a|b", "a::b",
         "two\nlines", "x,1,2\n3,4", "back\\slash", 'esc \\" aped', "Übung", "北京", "O'Neil", " blanks ", "sep=;",
         "101:", "#", "''", '""')  # fmt: skip

texts = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8),
    st.text('ab",;\t|:\n\\ 1', min_size=1, max_size=8),
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, object]]:
    """Rows of two ids, a whole number, and a title with anything in it."""
    n_rows = draw(st.integers(1, 12))
    return [
        {
            "user_id": draw(st.integers(-5, 10**6)),
            "item_id": f"i{draw(st.integers(0, 99)):03}",
            "rating": draw(st.integers(1, 5)),
            "title": draw(texts),
        }
        for _ in range(n_rows)
    ]


@st.composite
def spellings(draw: st.DrawFn) -> dict[str, object]:
    return {
        "delimiter": draw(st.sampled_from([",", "\t", ";", "|"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
        "end": draw(st.sampled_from(["\n", "\r\n"])),
        "packed": draw(st.sampled_from(sorted(PACKERS))),
        "ends_with_one": draw(st.booleans()),
        "names": draw(st.permutations(["user_id", "item_id", "rating", "title"])),
    }


def spelled(rows: list[dict[str, object]], how: dict[str, object]) -> bytes:
    text = io.StringIO(newline="")
    names = how["names"]
    writer = csv.DictWriter(
        text, names, delimiter=how["delimiter"], quoting=how["quoting"], lineterminator=how["end"], escapechar=None
    )  # type: ignore[call-overload]  # names and delimiter are what they are
    writer.writeheader()
    writer.writerows(rows)
    whole = text.getvalue()
    if not how["ends_with_one"]:
        whole = whole.removesuffix(str(how["end"]))
    return whole.encode(str(how["encoding"]))


def read_back(content: bytes, name: str) -> tuple[list[dict[str, object]], bool] | None:
    """The rows, and whether their quotes are told to stand for themselves; None where they are refused, in words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            raw = read_raw(path)
        except InputError as error:
            assert str(error).isprintable()
            return None
    rows = [dict(sorted(row.items())) for row in raw.table.to_pylist()]
    return rows, any("quotes are read as signs like others" in note for note in raw.notes)


@settings(max_examples=300, deadline=None)
@given(tables(), spellings())
def test_well_quoted_tables_come_back(rows: list[dict[str, object]], how: dict[str, object]) -> None:
    packed = str(how["packed"])
    found = read_back(PACKERS[packed](spelled(rows, how)), f"t.csv{packed}")
    if found is not None:
        # A cell whose lines are rows by themselves, alone in its file: nobody can tell it from a lone quote.
        other, is_told = found
        assert is_told or other == [dict(sorted(row.items())) for row in rows]


@settings(max_examples=300, deadline=None)
@given(tables(), spellings())
def test_tables_without_quoting_come_back(rows: list[dict[str, object]], how: dict[str, object]) -> None:
    """Titles stand as they are, whatever quotes they hold; without what parts cells and lines."""
    sign = str(how["delimiter"])
    for row in rows:
        row["title"] = "".join(one for one in str(row["title"]) if one not in f"{sign}\n\r") or "x"
    names = list(how["names"])  # type: ignore[call-overload]
    lines = [sign.join(names), *(sign.join(str(row[name]) for name in names) for row in rows)]
    found = read_back((str(how["end"]).join(lines) + "\n").encode(str(how["encoding"])), "t.txt")
    if found is None:
        return
    for row, other in zip(rows, found[0], strict=True):
        # A title that quotes enclose is read without them: that is what they are for. Inside they stand doubled, or
        # behind a backslash.
        title = str(row["title"])
        enclosed = title.startswith('"') and title.endswith('"') and len(title) > 1
        inner = title[1:-1]
        ways = (inner, inner.replace('\\"', '"'))
        allowed = {title, *(way.replace('""', '"') or None for way in ways)} if enclosed else {title}
        assert other | {"title": None} == dict(sorted(row.items())) | {"title": None}
        assert other["title"] in allowed


def test_changed_bytes_are_refused_in_words_or_read() -> None:
    numbers = random.Random(0)
    for _ in range(1500):
        rows = [
            {"user_id": k, "item_id": f"i{k % 7}", "rating": k % 5, "title": numbers.choice(WORDS)} for k in range(12)
        ]
        how = {
            "delimiter": numbers.choice(",\t;|"),
            "quoting": numbers.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
            "encoding": numbers.choice(["utf-8", "utf-16"]),
            "end": numbers.choice(["\n", "\r\n"]),
            "ends_with_one": True,
            "names": ["user_id", "item_id", "rating", "title"],
        }
        packed = numbers.choice(sorted(PACKERS))
        content = bytearray(PACKERS[packed](spelled(rows, how)))
        for _ in range(numbers.choice([1, 2, 10])):
            content[numbers.randrange(len(content))] = numbers.choice([numbers.randrange(256), 34, 92, 0, 10, 13])
        read_back(bytes(content), f"t.csv{packed}")
