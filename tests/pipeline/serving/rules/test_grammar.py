"""The grammar of `where`: what it reads, and that all else is refused in words, however long or deep."""

import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.serving.rules.grammar import (
    MAX_DEPTH,
    MAX_SIGNS,
    ColumnName,
    Comparison,
    Joined,
    Literal,
    Missing,
    Not,
    Several,
    columns_in,
    parse,
)

YEAR = ColumnName("year")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("year >= 1990", Comparison(">=", YEAR, Literal(1990))),
        ("year = -3", Comparison("==", YEAR, Literal(-3))),
        ("1.5e2<year", Comparison(">", YEAR, Literal(150.0))),
        ("'Horror' in genres", Comparison("in", Literal("Horror"), ColumnName("genres"))),
        ('"it\'s" not in title', Not(Comparison("in", Literal("it's"), ColumnName("title")))),
        ("`odd name` != 'x'", Comparison("!=", ColumnName("odd name"), Literal("x"))),
        ("artist in ('a', 'b')", Comparison("in", ColumnName("artist"), Several(("a", "b")))),
        ("year in [1990]", Comparison("in", YEAR, Several((1990,)))),
        ("year is None", Missing(YEAR)),
        ("year is not None", Not(Missing(YEAR))),
        ("sold == True", Comparison("==", ColumnName("sold"), Literal("true"))),
        ("ciné_2 == 1", Comparison("==", ColumnName("ciné_2"), Literal(1))),
        (
            "1990 <= year < 2000",
            Joined("and", (Comparison(">=", YEAR, Literal(1990)), Comparison("<", YEAR, Literal(2000)))),
        ),
        (
            "year == 1 or year == 2 and not year == 3",
            Joined(
                "or",
                (
                    Comparison("==", YEAR, Literal(1)),
                    Joined("and", (Comparison("==", YEAR, Literal(2)), Not(Comparison("==", YEAR, Literal(3))))),
                ),
            ),
        ),
        (
            "(year == 1 or year == 2) and year == 3",
            Joined(
                "and",
                (
                    Joined("or", (Comparison("==", YEAR, Literal(1)), Comparison("==", YEAR, Literal(2)))),
                    Comparison("==", YEAR, Literal(3)),
                ),
            ),
        ),
    ],
)
def test_what_is_read(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a value is wanted"),
        ("year", "a comparison is wanted before the end"),
        ("year >=", "the end stands where a column or a value is wanted, after 'year >='"),
        ("year >= 1990 extra", "'extra' is one too many"),
        ("year >= 1990)", "one too many"),
        ("(year >= 1990", "'\\)' is wanted before the end"),
        ("year >= 'a", "its quote is not closed"),
        ("lower(title) == 'a'", "'lower' is no function: there are none"),
        ("__import__('os')", "'__import__' is no function"),
        ("__import__('os').system('x')", "is no part of a rule"),
        ("title.upper == 'A'", "is no part of a rule"),
        ("year + 1 == 2", "is no part of a rule"),
        ("title =~ '(a+)+$'", "is no part of a rule"),
        ("lambda x: x", "is no part of a rule"),
        ("1 is None", "only a column can be None"),
        ("year not 3", "'in' is wanted before '3'"),
        ("year in [year]", "'year' stands where a column or a value is wanted"),
        ("year in [1", "'\\]' is wanted"),
        ("and and and", "'and' stands where"),
        ("year == " + "9" * 41, "more than 40 digits"),
        ("year == 1\x1b[2J", "is no part of a rule"),
    ],
)
def test_all_else_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        parse(text)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("opening", ["(", "not ", "(not "])
def test_depth_is_bounded(opening: str) -> None:
    closing = ")" * opening.count("(")
    assert parse(opening * 9 + "year == 1" + closing * 9)
    with pytest.raises(InputError, match=f"more than {MAX_DEPTH}"):
        parse(opening * 200 + "year == 1" + closing * 200)


def test_length_is_bounded_and_the_longest_is_read() -> None:
    many = " or ".join(["year == 1"] * (MAX_SIGNS // 13))
    assert isinstance(parse(many), Joined)
    with pytest.raises(InputError, match="4,000 at most"):
        parse(many + " or year == 1" * 20)


def test_columns_that_an_expression_asks_for() -> None:
    assert columns_in(parse("a == 1 and not ('x' in b or c is None) and d < e")) == {"a", "b", "c", "d", "e"}
