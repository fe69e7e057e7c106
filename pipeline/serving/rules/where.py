"""Which items a `where` keeps: its tree, worked out over the columns of all items at once.

What is missing equals nothing, is in nothing, and is neither above nor below anything; `!=`, `not` and `not in` are
true where their opposite is false.
"""

import re
from collections.abc import Callable
from operator import eq, ge, gt, le, lt
from typing import Any

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.dataset.errors import InputError, printable
from belfry.pipeline.serving.rules.grammar import (
    ColumnName,
    Comparison,
    Expression,
    Literal,
    Missing,
    Not,
    Operand,
    Several,
    Value,
)
from belfry.pipeline.serving.rules.item_columns import ItemColumn, ItemColumns, LabelColumn, NumberColumn, seconds_of

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_ORDER: dict[str, Callable[[Any, Any], Any]] = {"==": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


def items_that(expression: Expression, items: ItemColumns) -> Mask:
    """[n_items + 1] of each item number, whether the expression holds.

    Raises:
        InputError: it names a column that there is not, or compares what cannot be compared.
    """
    if isinstance(expression, Not):
        return ~items_that(expression.part, items)
    if isinstance(expression, Missing):
        return items.column(expression.column.name, "where").missing
    if isinstance(expression, Comparison):
        return _compared(expression, items)
    masks = [items_that(part, items) for part in expression.parts]
    return np.asarray((np.logical_and if expression.word == "and" else np.logical_or).reduce(masks))


def _compared(comparison: Comparison, items: ItemColumns) -> Mask:
    sign, left, right = comparison.sign, comparison.left, comparison.right
    if sign == "!=":
        return ~_compared(Comparison("==", left, right), items)
    if sign == "in":
        return _contained(left, right, items)
    if isinstance(left, ColumnName) and isinstance(right, ColumnName):
        return _of_two(sign, left.name, right.name, items)
    if not isinstance(left, ColumnName) or not isinstance(right, Literal):
        raise InputError(f"where: {_shown(left)} {sign} {_shown(right)} compares no column with one value")
    return _with_value(sign, left.name, right.value, items)


def _with_value(sign: str, name: str, value: Value, items: ItemColumns) -> Mask:
    column = items.column(name, "where")
    if isinstance(column, NumberColumn) and isinstance(value, str) and _DATE.match(value):
        column, value = items.times(name, "where"), seconds_of(value, name, "where")
    _check_kind(column, name, value)
    if isinstance(column, NumberColumn):
        return np.asarray(_ORDER[sign](column.values, value)) & ~column.missing
    if column.is_list:
        raise InputError(f"where: column {name!r} holds lists; write {printable(repr(value), 40)} in {name}")
    holds = _ORDER[sign]
    return column.with_any(np.fromiter((holds(label, value) for label in column.labels), np.bool_, len(column.labels)))


def _of_two(sign: str, left: str, right: str, items: ItemColumns) -> Mask:
    first, second = (items.numbers(name, f"where: {left} {sign} {right}") for name in (left, right))
    return np.asarray(_ORDER[sign](first.values, second.values)) & ~first.missing & ~second.missing


def _contained(left: Operand, right: Operand, items: ItemColumns) -> Mask:
    """`column in [...]`, `'label' in column of lists`, or `'part' in column of text`."""
    if isinstance(left, ColumnName) and isinstance(right, Several):
        return _one_of(left.name, right.values, items)
    if not isinstance(left, Literal) or not isinstance(right, ColumnName):
        raise InputError(
            f"where: {_shown(left)} in {_shown(right)} cannot be asked; write COLUMN in [...], or 'text' in COLUMN"
        )
    column, part = items.column(right.name, "where"), left.value
    if isinstance(column, NumberColumn):
        raise InputError(f"where: column {right.name!r} holds numbers; write {right.name} == {part!r}")
    _check_kind(column, right.name, part)
    assert isinstance(part, str)  # `_check_kind` saw to it
    found = (part == label if column.is_list else part in label for label in column.labels)
    return column.with_any(np.fromiter(found, np.bool_, len(column.labels)))


def _one_of(name: str, values: tuple[Value, ...], items: ItemColumns) -> Mask:
    column = items.column(name, "where")
    for value in values:
        _check_kind(column, name, value)
    if isinstance(column, NumberColumn):
        is_one = np.logical_or.reduce(
            [np.asarray(column.values == value) for value in values] or [column.missing & False]
        )
        return np.asarray(is_one) & ~column.missing
    if column.is_list:
        raise InputError(f"where: column {name!r} holds lists; write 'label' in {name}, joined by and, or")
    wanted = set(values)
    return column.with_any(np.fromiter((label in wanted for label in column.labels), np.bool_, len(column.labels)))


def _check_kind(column: ItemColumn, name: str, value: Value) -> None:
    """Raises InputError: the value is text and the column of numbers, or the other way round."""
    if isinstance(value, str) == isinstance(column, NumberColumn):
        kind = "text" if isinstance(column, LabelColumn) else "numbers"
        shown = printable(repr(value), 40)
        raise InputError(f"where: column {name!r} holds {kind}, and {shown} is none; write a value of the same kind")


def _shown(operand: Operand) -> str:
    text = operand.name if isinstance(operand, ColumnName) else repr(getattr(operand, "value", None) or "[...]")
    return printable(text, 40)
