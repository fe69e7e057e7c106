"""Rules: what shapes lists, read from a TOML file or made of arguments."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field, StrictInt, StrictStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticSerializationError

from belfry.dataset.errors import InputError, printable
from belfry.layers.config import Settings
from belfry.pipeline.serving.rules.grammar import parse
from belfry.pipeline.toml_file import read_toml

MAX_FILE = 4 << 20  # bytes of a file of rules
MAX_DEPTH = 1_000  # candidates of a list that are put in another order
MAX_PLACES = 10_000  # of a list that rules put in another order
_MAX_IDS = 100_000
_MAX_PROBLEMS = 5  # that a message tells of


def _plain(ids: Any) -> Any:
    """Ids of NumPy, Arrow and pandas as those of Python."""
    for name in ("to_pylist", "tolist"):
        if hasattr(ids, name):
            return getattr(ids, name)()
    return [int(one) if isinstance(one, np.integer) else one for one in ids] if isinstance(ids, list | tuple) else ids


ItemId: TypeAlias = Annotated[StrictStr | StrictInt, BeforeValidator(_plain)]
ItemIds: TypeAlias = Annotated[tuple[StrictStr | StrictInt, ...], BeforeValidator(_plain)]


class Pin(Settings):
    """An item that has a place of its own in every list."""

    item_id: ItemId
    place: int = Field(ge=1, le=MAX_PLACES, description="from 1; places behind the end of a list are not there")


class Diversity(Settings):
    """Items that differ from one another."""

    column: str | None = Field(
        None, description="of labels, by which items are alike; none: by the vectors of the first source"
    )
    method: Literal["sum", "mmr", "dpp"] = Field(
        "sum",
        description="what is kept small: the sum of all similarities in a list, that of the most similar pair above a "
        "place (maximal marginal relevance), or what items share altogether (a determinantal point process)",
    )
    weight: float = Field(0.4, gt=0, le=0.95, description="of being different, beside relevance")


class Calibration(Settings):
    """Categories of a list in the shares that they have in the user's history."""

    column: str = Field("genres", description="of lists of labels, or one label")
    weight: float = Field(0.5, gt=0, le=0.95, description="of the divergence from the history, beside relevance")


class Freshness(Settings):
    """New items higher up: an age of one half-life halves the boost."""

    column: str | None = Field(
        None,
        description="a year or another number (age: distance to the largest), or a time (age: days before now); none: "
        "days since the item's first event, before the newest of all",
    )
    half_life: float = Field(gt=0, description="in the unit of the age: years for a year, days for a time")
    weight: float = Field(0.2, gt=0, le=0.95, description="of being new, beside relevance")


class Explore(Settings):
    """A share of the places drawn at random among the candidates, with chances that are known."""

    share: float = Field(0.1, gt=0, le=1, description="of the places of a list that are drawn")
    temperature: float = Field(
        0.5,
        ge=0.01,
        le=100,
        description="of the softmax of relevance that they are drawn by: low keeps to the best, high draws evenly",
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="equal ones draw equal lists")


class Rules(Settings):
    """What shapes lists. What may be listed is decided first, then each place in turn: docs/rules.md has the order.

    Examples:
        >>> from belfry import Recommender, Rules
        >>> rules = Rules(deny=[7, 12], at_most={"genres": 3})
        >>> lists = Recommender.load("artifacts").recommend_many([42, 196], 5, rules=rules)
        >>> set(lists["item_id"].to_pylist()) & {7, 12}
        set()
    """

    where: str | None = Field(None, description="a condition on item columns; docs/rules.md has the grammar")
    allow: ItemIds | None = Field(None, max_length=_MAX_IDS, description="ids: only these may be listed")
    deny: ItemIds = Field((), max_length=_MAX_IDS, description="ids that nobody gets")
    available_from: str | None = Field(None, description="column of times: not listed before; missing: no limit")
    available_until: str | None = Field(None, description="column of times: not listed from then on")
    now: datetime | None = Field(None, description="the time that these two are held against; none: the clock")
    freshness: Freshness | None = None
    diversity: Diversity | None = None
    calibration: Calibration | None = None
    explore: Explore | None = None
    depth: int = Field(
        50,
        ge=2,
        le=MAX_DEPTH,
        description="candidates of a list that freshness, diversity, calibration and explore choose from",
    )
    at_most: dict[str, int] = Field(
        {}, max_length=20, description="column -> items of one label, such as a genre, that a list holds at most"
    )
    pinned: tuple[Pin, ...] = Field((), max_length=100, description="items with a place of their own")

    def __init__(self, **rules: Any) -> None:
        """Raises InputError: there is no such rule, or two of them contradict each other."""
        try:
            super().__init__(**rules)
        except ValidationError as error:
            found = error.errors()
            said = [_said(one["loc"], one["type"], one["msg"]) for one in found[:_MAX_PROBLEMS]]
            more = f"; and {len(found) - _MAX_PROBLEMS:,} more" if len(found) > _MAX_PROBLEMS else ""
            raise InputError(f"rules: {'; '.join(said)}{more}") from error

    @field_validator("where")
    @classmethod
    def _can_be_read(cls, text: str | None) -> str | None:
        if text is not None:
            parse(text)
        return text

    @field_validator("now")
    @classmethod
    def _in_utc(cls, now: datetime | None) -> datetime | None:
        return now.replace(tzinfo=UTC) if now is not None and now.tzinfo is None else now

    @model_validator(mode="after")
    def _agree(self) -> Self:
        pins = {pin.item_id: f"pinned {printable(repr(pin.item_id), 40)}" for pin in self.pinned}
        places = [pin.place for pin in self.pinned]
        if self.allow is not None and not self.allow:
            raise ValueError("allow = [] leaves nothing to list; leave it out to allow all items")
        for column, k in self.at_most.items():
            if k < 1:
                raise ValueError(
                    f"at_most: {printable(column, 40)} = {k} and a list that holds items contradict each other; wanted "
                    "1 or more, or a where that keeps none of them"
                )
        if both := set(self.allow or ()) & set(self.deny):
            raise ValueError(f"allow and deny both name {printable(repr(min(both, key=str)), 40)}; keep one")
        for item, words in pins.items():
            if item in self.deny:
                raise ValueError(f"{words} and deny contradict each other; keep one")
            if self.allow is not None and item not in self.allow:
                raise ValueError(f"{words} is not among allow; add it there, or leave the pin out")
        if len(pins) < len(places):
            raise ValueError("pinned: an item has two places; keep one")
        if len(set(places)) < len(places):
            raise ValueError(f"pinned: place {max(places, key=places.count)} has two items; keep one")
        if self.explore is not None and self.at_most:
            raise ValueError(
                "explore and at_most contradict each other: what is drawn has known chances only where no label can be "
                "used up; keep one"
            )
        if self.available_from is not None and self.available_from == self.available_until:
            raise ValueError(f"available_from and available_until are both {printable(self.available_from, 40)!r}")
        return self

    @property
    def key(self) -> str:
        """Equal for equal rules, and for no others; empty for rules that say nothing."""
        text = self.model_dump_json(exclude_defaults=True)
        return "" if text == "{}" else text

    @property
    def needs_time(self) -> bool:
        """Whether what may be listed changes with the clock."""
        return self.now is None and bool(self.available_from or self.available_until)

    @property
    def reorders(self) -> bool:
        """Whether lists are more than what may be listed, in the order of the stages."""
        shapes = (self.freshness, self.diversity, self.calibration, self.explore, self.at_most, self.pinned)
        return any(shapes)

    def alone(self) -> dict[str, "Rules"]:
        """Each rule by itself, by its name: to tell what each does."""
        given = self.model_fields_set - {"now", "depth"}
        shared = {name: getattr(self, name) for name in ("now", "depth")}
        return {
            name: Rules(**{**shared, name: getattr(self, name)})
            for name in type(self).model_fields
            if name in given and getattr(self, name)
        }


RulesLike: TypeAlias = Rules | Mapping[str, Any] | str | os.PathLike[str]


def rules_of(rules: RulesLike | None, where: str | None = None) -> Rules | None:
    """What a call asks for: rules, a mapping of their names, or the path of a TOML file; and `where` beside them.

    Returns:
        None where nothing is asked for.

    Raises:
        InputError: the file cannot be read, there is no such rule, or two of them contradict each other.
    """
    if isinstance(rules, str | os.PathLike):
        found = _read(Path(rules))
    elif isinstance(rules, Mapping):
        found = Rules(**{str(name): value for name, value in rules.items()})
    elif rules is None or type(rules) is Rules:
        found = rules or Rules()
    else:
        raise InputError(
            f"rules={printable(repr(rules), 60)}: wanted Rules, a dict of them, or the path of a TOML file"
        )
    if where is not None:
        if not isinstance(where, str):
            raise InputError(f"where={printable(repr(where), 60)}: wanted a text, such as 'year >= 1990'")
        parse(where)  # by itself, so that no bracket of it closes another
        given = {name: getattr(found, name) for name in found.model_fields_set}
        found = Rules(**{**given, "where": where if found.where is None else f"({found.where}) and ({where})"})
    try:
        return found if found.key else None
    except PydanticSerializationError as error:
        raise InputError("rules: half of a surrogate pair is no text; hand in Unicode text") from error


def _read(path: Path) -> Rules:
    tree = read_toml(path, most_bytes=MAX_FILE)
    try:
        return Rules(**tree)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _said(place: tuple[int | str, ...], problem: str, message: str) -> str:
    key = printable(".".join(str(part) for part in place if part not in ("int", "str")), 60)
    if problem == "extra_forbidden":
        return f"{key}: there is no such rule; there are {', '.join(Rules.model_fields)}"
    words = printable(message.removeprefix("Value error, "), 300)
    return f"{key}: {words}" if key else words
