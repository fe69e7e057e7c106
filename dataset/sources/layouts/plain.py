"""Layouts whose files need no more than other names, and a value or two read as what it means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.sources.id_types import alike
from belfry.dataset.sources.layouts.places import Place
from belfry.dataset.sources.reading import Reading
from belfry.dataset.tables import ReadingNote, Tables

_TYPED = (".json", ".jsonl", ".json.gz", ".jsonl.gz")  # which say whether an id is a number


@dataclass(frozen=True)
class FileOf:
    """One file of a layout: its name, and of which of its columns Belfry's are made."""

    patterns: tuple[str, ...]
    columns: Mapping[str, str]  # Belfry's name -> the name in the file
    mend: Callable[[pa.Table], pa.Table] = lambda table: table


@dataclass(frozen=True)
class PlainLayout:
    """One set of data, as it is published."""

    name: str
    events: FileOf
    items: FileOf | None = None
    users: FileOf | None = None
    encoding: str | None = None
    remark: str = ""  # what to know of its interactions

    def find(self, place: Place, *, is_alone: bool) -> str | None:
        """The file of interactions, by its name and its first line; of a file that stands alone by its first line."""
        wanted = set(self.events.columns.values())
        names = sorted(place.files.names) if is_alone else place.matching(*self.events.patterns)
        return next((name for name in names if wanted <= place.first_names(name)), None)

    def read(self, place: Place, events: str) -> Tables:
        found = {"interactions": (events, self.events)}
        for table, file in (("items", self.items), ("users", self.users)):
            names = place.matching(*file.patterns) if file is not None else []
            if file is not None and names:
                found[table] = names[0], file
        notes: list[ReadingNote] = []
        tables: dict[str, pa.Table] = {}
        for table, (name, file) in found.items():
            raw = place.read(name, Reading(file.columns, encoding=self.encoding))
            there = [column for column in file.columns if column in raw.table.column_names]
            tables[table] = file.mend(raw.table.select(there))
            pairs = ", ".join(
                f"{file.columns[column]} as {column}" for column in there if file.columns[column] != column
            )
            notes.append(ReadingNote(table, f"{name} is read as that of {self.name}: {pairs or 'its own names'}"))
            notes += [ReadingNote(table, note) for note in raw.notes]
        if self.remark:
            notes.append(ReadingNote("interactions", self.remark))
        tables = alike(tables, set(tables) if not events.lower().endswith(_TYPED) else set())
        return Tables(tables["interactions"], tables.get("items"), tables.get("users"), notes=tuple(notes))


def _seconds(table: pa.Table) -> pa.Table:
    """Times in milliseconds as seconds."""
    place = table.column_names.index(columns.TIMESTAMP_S)
    return table.set_column(place, columns.TIMESTAMP_S, pc.divide(table[columns.TIMESTAMP_S], 1000))


def _zero_is_not_rated(table: pa.Table) -> pa.Table:
    place, rating = table.column_names.index(columns.RATING), table[columns.RATING]
    is_zero = pc.equal(rating, pa.scalar(0, rating.type))
    return table.set_column(place, columns.RATING, pc.if_else(is_zero, pa.scalar(None, rating.type), rating))


def _country(table: pa.Table) -> pa.Table:
    """The last part of `city, state, country`."""
    place = table.column_names.index("country")
    country = pc.struct_field(pc.extract_regex(table["country"], r"(?P<country>[^,]*)$"), "country")
    country = pc.utf8_trim_whitespace(country)
    empty = pc.or_kleene(pc.equal(country, ""), pc.equal(country, "n/a"))
    return table.set_column(place, "country", pc.if_else(empty, pa.scalar(None, pa.string()), country))


PLAIN_LAYOUTS = (
    PlainLayout(
        "Amazon reviews",
        FileOf(
            ("reviews_*.json", "*_5.json", "*.jsonl", "*.json"),
            {
                columns.USER_ID: "reviewerID",
                columns.ITEM_ID: "asin",
                columns.RATING: "overall",
                columns.TIMESTAMP_S: "unixReviewTime",
            },
        ),
    ),
    PlainLayout(
        "Amazon reviews 2023",
        FileOf(
            ("*.jsonl", "*.json", "*.csv"),
            {
                columns.USER_ID: "user_id",
                columns.ITEM_ID: "parent_asin",
                columns.RATING: "rating",
                columns.TIMESTAMP_S: "timestamp",
            },
            _seconds,
        ),
    ),
    PlainLayout(
        "RetailRocket",
        FileOf(
            ("events.csv",),
            {
                columns.USER_ID: "visitorid",
                columns.ITEM_ID: "itemid",
                columns.EVENT: "event",
                columns.TIMESTAMP_S: "timestamp",
            },
            _seconds,
        ),
        remark="views, carts and purchases count alike unless you say otherwise: "
        """--set 'event_weights=[["transaction", 5.0], ["addtocart", 3.0], ["view", 1.0]]'""",
    ),
    PlainLayout(
        "LastFM (HetRec 2011)",
        FileOf(
            ("user_artists.dat",), {columns.USER_ID: "userID", columns.ITEM_ID: "artistID", columns.WEIGHT: "weight"}
        ),
        items=FileOf(("artists.dat",), {columns.ITEM_ID: "id", columns.TITLE: "name"}),
    ),
    PlainLayout(
        "Book-Crossing",
        FileOf(
            ("BX-Book-Ratings.csv", "Book-Ratings.csv", "Ratings.csv"),
            {columns.USER_ID: "User-ID", columns.ITEM_ID: "ISBN", columns.RATING: "Book-Rating"},
            _zero_is_not_rated,
        ),
        items=FileOf(
            ("BX-Books.csv", "BX_Books.csv", "Books.csv"),
            {
                columns.ITEM_ID: "ISBN",
                columns.TITLE: "Book-Title",
                "author": "Book-Author",
                "year": "Year-Of-Publication",
                "publisher": "Publisher",
            },
        ),
        users=FileOf(
            ("BX-Users.csv", "Users.csv"), {columns.USER_ID: "User-ID", "country": "Location", "age": "Age"}, _country
        ),
        encoding="latin-1",
        remark="a rating of 0 is read as not rated",
    ),
    PlainLayout(
        "H&M transactions",
        FileOf(
            ("transactions_train.csv",),
            {columns.USER_ID: "customer_id", columns.ITEM_ID: "article_id", columns.TIMESTAMP_S: "t_dat"},
        ),
        items=FileOf(
            ("articles.csv",),
            {
                columns.ITEM_ID: "article_id",
                columns.TITLE: "prod_name",
                "product_type": "product_type_name",
                "product_group": "product_group_name",
                "colour_group": "colour_group_name",
                "department": "department_name",
                "section": "section_name",
                "garment_group": "garment_group_name",
            },
        ),
        users=FileOf(
            ("customers.csv",),
            {columns.USER_ID: "customer_id", "age": "age", "club_member_status": "club_member_status"},
        ),
        remark="customers buy the same article again: --repeats allow lets lists hold it",
    ),
)
