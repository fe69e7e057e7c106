"""What a sink is: where a table is written to, block by block. Readers see the whole table or none of it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import BelfryError, InputError, cause_of
from belfry.dataset.vocabulary import Id

_GO_ON = (
    "Nothing of the new table is visible, an earlier one stays; make the same call again, it goes on from what was made"
)


class SinkError(BelfryError):
    """A place outside of this machine failed or went away: nothing of the new table is visible there.

    What was made so far is kept, and the same call goes on from it.
    """


@dataclass(frozen=True)
class LeftOutUser:
    """A user without a row."""

    user_id: Id
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """Who is not in a table, and what the table is."""

    about: Mapping[str, str | int]
    users: tuple[LeftOutUser, ...]

    def to_json(self) -> str:
        """As `_left_out.json` holds it."""
        document = {**self.about, "left_out": [*map(asdict, self.users)]}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def to_table(self, schema: pa.Schema) -> pa.Table:
        """As a database holds it, in columns of `user_id` and `reason`."""
        return pa.Table.from_pylist([*map(asdict, self.users)], schema=schema)


def listed_in(text: str) -> set[Id]:
    """The ids in a `_left_out.json`."""
    return {entry[columns.USER_ID] for entry in json.loads(text)["left_out"]}


class Sink(Protocol):
    """One table: `open`, `write` as often as needed, `close`, then `commit` or `abandon`; `writing` sees to that."""

    @property
    def place(self) -> str:
        """Where the table is, as messages say it; without a password."""

    @property
    def listing(self) -> str:
        """Where those who were left out are listed."""

    def check(self) -> None:
        """Refuse what can be known before any work starts.

        Raises:
            InputError: the place cannot be reached or written, or holds what the table would spoil.
        """

    def open(self, schema: pa.Schema) -> None:
        """Begin the table. What a writer that was killed has left is removed."""

    def write(self, block: pa.Table) -> None:
        """Append rows of that schema."""

    def leave_out(self, left_out: LeftOut) -> None:
        """Keep the list of those who have no row, which is shown with the table."""

    def close(self) -> None:
        """End the table and have it stored durably, still unseen. A second call does nothing."""

    def blocks(self) -> Iterator[pa.Table]:
        """The blocks that were written, in order, as they can be read again from where they are stored.

        To be called after `close`, so that what was written can be checked before it is seen.
        """

    def left_out(self) -> set[Id]:
        """The ids of those who were left out, read again like the blocks."""

    def commit(self) -> None:
        """Show the table, in the place of an earlier one, in one step."""

    def abandon(self) -> None:
        """Remove what was written and not committed. An earlier table stays."""


AnySink = TypeVar("AnySink", bound=Sink)


@contextmanager
def writing(sink: AnySink, schema: pa.Schema) -> Iterator[AnySink]:
    """An open sink, which is committed when the body ends and abandoned when it fails or is interrupted."""
    try:
        sink.open(schema)
        yield sink
        sink.close()
        sink.commit()
    except BaseException:
        sink.abandon()
        raise


@contextmanager
def refused_in_words(place: str, remedy: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn a failure of the place, met before work starts, into an `InputError`."""
    try:
        yield
    except errors as error:
        if isinstance(error, BelfryError):
            raise
        raise InputError(f"{place}: {cause_of(error)}; {remedy}") from error


@contextmanager
def stopped_in_words(place: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn a failure of the place, met while the table is written, into a `SinkError`."""
    try:
        yield
    except InputError as error:
        raise SinkError(f"{error}. {_GO_ON}") from error
    except errors as error:
        if isinstance(error, BelfryError):
            raise
        raise SinkError(f"{place}: {cause_of(error)}; mend that. {_GO_ON}") from error


def resliced(batches: Iterator[pa.RecordBatch], sizes: list[int], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows of a stream in blocks of the sizes with which they were written; what is there beyond them comes last."""
    waiting = schema.empty_table()
    for size in sizes:
        while len(waiting) < size and (batch := next(batches, None)) is not None:
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(schema)])
        yield waiting.slice(0, size)
        waiting = waiting.slice(size)
    rest = [waiting, *(pa.Table.from_batches([batch]).cast(schema) for batch in batches)]
    if sum(map(len, rest)):
        yield pa.concat_tables(rest)
