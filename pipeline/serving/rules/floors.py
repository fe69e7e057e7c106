"""Floors: `expected_rating >= 3.5` in a `where`, which holds of a user and an item together and not of items alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

import numpy as np
import numpy.typing as npt

from belfry.dataset import columns
from belfry.dataset.arrays import Mask
from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.errors import InputError
from belfry.pipeline.serving.rules.config import Rules
from belfry.pipeline.serving.rules.grammar import (
    ColumnName,
    Comparison,
    Expression,
    Joined,
    Literal,
    columns_in,
    parse,
)
from belfry.pipeline.serving.rules.item_columns import ItemColumns

_ORDER: dict[str, Callable[[Any, Any], Any]] = {">=": ge, ">": gt, "<=": le, "<": lt}


@dataclass(frozen=True)
class Floor:
    """What an expected rating has to be; `<` and `<=` make it a ceiling."""

    sign: str
    value: float

    def holds(self, ratings: npt.NDArray[np.floating]) -> Mask:
        """[n_rows] of each expected rating; not of one that is NaN."""
        return np.asarray(_ORDER[self.sign](ratings, self.value))

    def __str__(self) -> str:
        return f"{columns.EXPECTED_RATING} {self.sign} {self.value:g}"


def part_where(
    rules: Rules, of_items: ItemColumns, run: str, *, expects_ratings: bool
) -> tuple[Expression | None, tuple[Floor, ...]]:
    """What `where` asks of items, None for nothing, and what it asks of the ratings that a model of the run expects.

    Raises:
        InputError: no model does, it is not clear what is meant, or a floor is no comparison joined by "and".
    """
    expression, name = None if rules.where is None else parse(rules.where), columns.EXPECTED_RATING
    if expression is None or name not in columns_in(expression):
        return expression, ()
    is_column = name in of_items.names
    if is_column and not expects_ratings:
        return expression, ()
    if is_column:
        raise InputError(f"where: {name} is a column of the items, and what run {run} expects; rename the column")
    if not expects_ratings:
        raise InputError(
            f"where: no model of run {run} expects ratings, so nothing has an {name}; train one that does (--preset "
            "multitask, or a ranker by rating), or leave it out"
        )
    if rules.pinned:
        raise InputError(f"pinned and a floor of {name} contradict each other; leave one of them out")
    return _parted(expression)


def _parted(expression: Expression) -> tuple[Expression | None, tuple[Floor, ...]]:
    of_items: list[Expression] = []
    floors: list[Floor] = []
    for part in _joined_by_and(expression):
        if columns.EXPECTED_RATING in columns_in(part):
            floors.append(_floor(part))
        else:
            of_items.append(part)
    rest = None if not of_items else of_items[0] if len(of_items) == 1 else Joined("and", tuple(of_items))
    return rest, tuple(floors)


def above_floors(lists: Candidates, ratings: npt.NDArray[np.float32], floors: Sequence[Floor]) -> Candidates:
    """The lists without the rows that are below; `ratings` [n_rows] are those expected."""
    kept = np.logical_and.reduce([floor.holds(ratings) for floor in floors])
    if kept.all():
        return lists
    left = lists.select(kept)
    return order_by(left, left.score, top_k=max(1, len(left)))


def _joined_by_and(expression: Expression) -> list[Expression]:
    if isinstance(expression, Joined) and expression.word == "and":
        return [part for one in expression.parts for part in _joined_by_and(one)]
    return [expression]


def _floor(part: Expression) -> Floor:
    if isinstance(part, Comparison) and part.sign in _ORDER:
        left, right = part.left, part.right
        if isinstance(left, ColumnName) and isinstance(right, Literal) and not isinstance(right.value, str):
            return Floor(part.sign, float(right.value))
    name = columns.EXPECTED_RATING
    raise InputError(
        f"where: {name} is of a user and an item together: compare it with a number, by >=, >, <= or <, alone or "
        f"joined to the rest by 'and', such as {name} >= 3.5 and year >= 1990"
    )
