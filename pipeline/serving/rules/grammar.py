"""The language of `where`: a small part of Python's expressions, read into a tree and never run as code.

either   = both { "or" both }
both     = negated { "and" negated }
negated  = "not" negated | compared
compared = operand { sign operand } | column "is" ["not"] "None"
sign     = "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" | ["not"] "in"
operand  = column | number | text | list | "(" either ")"
list     = "[" literal { "," literal } "]", or in round brackets

A column is a word, or a name in `backquotes`; a text stands in 'quotes' or "quotes". `a < b < c` is `a < b and b < c`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from belfry.dataset.errors import InputError, printable

MAX_SIGNS = 4_000
MAX_DEPTH = 30  # brackets and negations in one another
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?(?![\w.]))
  | (?P<text>'[^'\n]*'|"[^"\n]*")
  | (?P<column>`[^`\n]+`)
  | (?P<word>[^\W\d]\w*)
  | (?P<sign>==|!=|<=|>=|[=<>()\[\],])
    )""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "not", "in", "is", "None", "true", "false", "True", "False"}
_ORDERS = {"==", "=", "!=", "<", "<=", ">", ">="}
_CLOSING = {"(": ")", "[": "]"}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}  # with the sides changed

Value: TypeAlias = int | float | str


@dataclass(frozen=True)
class ColumnName:
    """A column of the items."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A value that stands in the expression."""

    value: Value


@dataclass(frozen=True)
class Several:
    """A list of values."""

    values: tuple[Value, ...]


Operand: TypeAlias = ColumnName | Literal | Several


@dataclass(frozen=True)
class Comparison:
    """`left sign right`, the column first where one is compared with a value; `in` asks whether left is in right."""

    sign: str  # ==, !=, <, <=, >, >= or in
    left: Operand
    right: Operand


@dataclass(frozen=True)
class Missing:
    """Whether an item has no value in a column."""

    column: ColumnName


@dataclass(frozen=True)
class Not:
    """What does not hold."""

    part: "Expression"


@dataclass(frozen=True)
class Joined:
    """Whether all parts hold ("and"), or any ("or")."""

    word: str
    parts: tuple["Expression", ...]


Expression: TypeAlias = Comparison | Missing | Not | Joined


@dataclass(frozen=True)
class _Token:
    kind: str  # of `_TOKEN`, or "end"
    text: str
    place: int


def parse(text: str) -> Expression:
    """The tree of a `where`.

    Raises:
        InputError: it is none, or longer or deeper than any rule needs; says where it stops making sense.
    """
    if len(text) > MAX_SIGNS:
        raise InputError(f"where: has {len(text):,} signs, {MAX_SIGNS:,} at most; use allow or deny for long lists")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent, as deep as `MAX_DEPTH`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._at = 0

    def whole(self) -> Expression:
        found = self._either(0)
        if self._next.kind != "end":
            self._refuse(f"{self._shown} is one too many")
        return found

    def _split(self) -> list[_Token]:
        tokens, place, end = [], 0, len(self._text.rstrip())
        while place < end:
            found = _TOKEN.match(self._text, place)
            if not found:
                rest = self._text[place:].lstrip()
                is_quote = rest[:1] in "'\"`"
                why = "its quote is not closed" if is_quote else "is no part of a rule; see docs/rules.md"
                raise InputError(f"where: {printable(rest, 30)!r} {why}")
            kind = found.lastgroup or ""
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            place = found.end()
        return [*tokens, _Token("end", "", end)]

    def _either(self, depth: int) -> Expression:
        return self._joined("or", [self._both(depth)], depth)

    def _both(self, depth: int) -> Expression:
        return self._joined("and", [self._negated(depth)], depth)

    def _joined(self, word: str, parts: list[Expression], depth: int) -> Expression:
        while self._take(word):
            parts.append(self._both(depth) if word == "or" else self._negated(depth))
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _negated(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            self._refuse(f"more than {MAX_DEPTH} brackets or negations in one another")
        return Not(self._negated(depth + 1)) if self._take("not") else self._compared(depth)

    def _compared(self, depth: int) -> Expression:
        if self._next.text == "(" and not self._is_list():
            self._take("(")
            inner = self._either(depth + 1)
            self._need(")")
            return inner
        left = self._operand()
        if self._take("is"):
            is_not = self._take("not")
            self._need("None")
            if not isinstance(left, ColumnName):
                self._refuse("only a column can be None")
            return Not(Missing(left)) if is_not else Missing(left)
        parts: list[Expression] = []
        while (sign := self._sign()) is not None:
            right = self._operand()
            parts.append(_comparison(sign, left, right))
            left = right
        if not parts:
            self._refuse(f"a comparison is wanted before {self._shown}, such as year >= 1990")
        return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))

    def _sign(self) -> str | None:
        if self._next.kind == "sign" and self._next.text in _ORDERS:
            sign = self._advance().text
            return "==" if sign == "=" else sign
        if self._next.text == "not" and self._next.kind == "word":
            self._advance()
            self._need("in")
            return "not in"
        return "in" if self._take("in") else None

    def _operand(self) -> Operand:
        if self._next.text in _CLOSING:
            return self._several(_CLOSING[self._advance().text])
        token = self._next
        if token.kind == "column":
            return ColumnName(self._advance().text[1:-1])
        if token.kind == "word" and token.text not in _WORDS:
            self._advance()
            if self._next.text == "(":
                self._refuse(f"{printable(token.text, 30)!r} is no function: there are none, only columns and values")
            return ColumnName(token.text)
        return Literal(self._literal())

    def _several(self, closing: str) -> Several:
        values = []
        while self._next.text != closing:
            values.append(self._literal())
            if not self._take(","):
                break
        self._need(closing)
        return Several(tuple(values))

    def _literal(self) -> Value:
        token = self._next
        if token.kind == "text":
            return self._advance().text[1:-1]
        if token.kind == "number":
            text = self._advance().text
            if len(text) > 40:
                self._refuse("a number of more than 40 digits")
            return int(text) if text.lstrip("-").isdecimal() else float(text)
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return self._advance().text.lower()  # as tables of items keep them
        self._refuse(f"{self._shown} stands where a column or a value is wanted")

    def _is_list(self) -> bool:
        """Whether the bracket that comes next opens a list of values."""
        after = self._tokens[self._at + 1 : self._at + 3]
        return len(after) == 2 and after[0].kind in ("text", "number") and after[1].text in (",", ")")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    @property
    def _shown(self) -> str:
        return repr(printable(self._next.text, 30)) if self._next.kind != "end" else "the end"

    def _advance(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, word: str) -> bool:
        is_next = self._next.text == word and self._next.kind in ("word", "sign")
        self._at += is_next
        return is_next

    def _need(self, word: str) -> None:
        if not self._take(word):
            self._refuse(f"{word!r} is wanted before {self._shown}")

    def _refuse(self, why: str) -> NoReturn:
        before = printable(self._text[max(0, self._next.place - 40) : self._next.place], 60)
        raise InputError(f"where: {why}" + (f", after {before!r}" if before else "") + "; see docs/rules.md")


def _comparison(sign: str, left: Operand, right: Operand) -> Comparison | Not:
    if sign == "not in":
        return Not(Comparison("in", left, right))
    if sign in _MIRRORED and isinstance(left, Literal) and isinstance(right, ColumnName):
        return Comparison(_MIRRORED[sign], right, left)
    return Comparison(sign, left, right)


def columns_in(expression: Expression) -> set[str]:
    """Names of all columns that an expression asks for."""
    if isinstance(expression, Comparison):
        sides: Sequence[Operand] = (expression.left, expression.right)
        return {side.name for side in sides if isinstance(side, ColumnName)}
    if isinstance(expression, Missing):
        return {expression.column.name}
    parts = (expression.part,) if isinstance(expression, Not) else expression.parts
    return {name for part in parts for name in columns_in(part)}
