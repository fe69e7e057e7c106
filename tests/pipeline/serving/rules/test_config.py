"""Rules as text and as arguments: what is read, what is refused, and contradictions, named on both sides."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry import Rules
from belfry.dataset.errors import InputError
from belfry.pipeline.serving.rules.config import MAX_FILE, rules_of

EVERYTHING = """
where = "year >= 1990"
allow = [1, 2, 3, 50]
deny = [7]
available_from = "opens"
available_until = "closes"
now = 2026-01-31T12:00:00
depth = 80
at_most = { genres = 3 }

[freshness]
half_life = 30

[diversity]
method = "dpp"

[calibration]
column = "genres"

[[pinned]]
item_id = 50
place = 2
"""


def test_a_file_says_what_arguments_say(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(EVERYTHING)
    arguments = {
        "where": "year >= 1990",
        "allow": [1, 2, 3, 50],
        "deny": [7],
        "available_from": "opens",
        "available_until": "closes",
        "now": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "depth": 80,
        "at_most": {"genres": 3},
        "freshness": {"half_life": 30},
        "diversity": {"method": "dpp"},
        "calibration": {},
        "pinned": [{"item_id": 50, "place": 2}],
    }
    read = rules_of(path)
    assert read is not None
    assert read == rules_of(str(path)) == rules_of(arguments) == Rules(**arguments)
    assert read.key == Rules(**arguments).key != Rules(**{**arguments, "depth": 81}).key
    assert [*read.alone()] == [
        "where",
        "allow",
        "deny",
        "available_from",
        "available_until",
        "freshness",
        "diversity",
        "calibration",
        "at_most",
        "pinned",
    ]


@pytest.mark.parametrize("ids", [[7, 8], (7, 8), np.array([7, 8]), pa.array([7, 8]), [np.int32(7), np.int64(8)]])
def test_ids_come_in_any_container(ids: object) -> None:
    assert Rules(deny=ids).deny == (7, 8)


def test_where_is_joined_with_that_of_the_rules() -> None:
    both = rules_of({"where": "a == 1 or b == 2", "deny": [1]}, "c == 3 or d == 4")
    assert both is not None
    assert both.where == "(a == 1 or b == 2) and (c == 3 or d == 4)" and both.deny == (1,)
    with pytest.raises(InputError, match="one too many"):
        rules_of({"where": "a == 1"}, "b == 1) or (c == 1")


def test_rules_that_say_nothing_are_none() -> None:
    assert (
        rules_of(None) is None and rules_of({}) is None and rules_of(Rules()) is None and rules_of({"deny": []}) is None
    )


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"pinned": [{"item_id": 3, "place": 1}], "deny": [3]}, "pinned 3 and deny contradict each other"),
        ({"pinned": [{"item_id": "x", "place": 1}], "allow": ["y"]}, "pinned 'x' is not among allow"),
        ({"allow": [1, 2], "deny": [2]}, "allow and deny both name 2"),
        ({"allow": []}, "allow = [] leaves nothing to list"),
        ({"at_most": {"genres": 0}}, "at_most: genres = 0 and a list that holds items contradict each other"),
        ({"pinned": [{"item_id": 3, "place": 1}, {"item_id": 4, "place": 1}]}, "place 1 has two items"),
        ({"pinned": [{"item_id": 3, "place": 1}, {"item_id": 3, "place": 2}]}, "an item has two places"),
        ({"pinned": [{"item_id": 3, "place": 0}]}, "pinned.0.place: Input should be greater than or equal to 1"),
        ({"pinned": [{"item_id": 3}]}, "pinned.0.place: Field required"),
        ({"available_from": "t", "available_until": "t"}, "available_from and available_until are both 't'"),
        ({"wehre": "year > 1"}, "wehre: there is no such rule; there are where, allow, deny"),
        ({"where": "year >"}, "where: the end stands where"),
        ({"where": 3}, "where: Input should be a valid string"),
        ({"deny": [1.5]}, "deny"),
        ({"deny": [True]}, "deny"),
        ({"deny": 7}, "deny"),
        ({"deny": range(100_001)}, "deny"),
        ({"at_most": {"genres": "two"}}, "at_most.genres: Input should be a valid integer"),
        ({"diversity": {"weight": 1}}, "diversity.weight: Input should be less than or equal to 0.95"),
        ({"diversity": {"weight": float("nan")}}, "diversity.weight"),
        ({"diversity": {"method": "magic"}}, "diversity.method: Input should be 'sum', 'mmr' or 'dpp'"),
        ({"freshness": {}}, "freshness.half_life: Field required"),
        ({"depth": 1_000_000}, "depth: Input should be less than or equal to 1000"),
        ({"now": "yesterday"}, "now: Input should be a valid datetime"),
        ({3: 4}, "3: there is no such rule"),
        (7, "wanted Rules, a dict of them, or the path of a TOML file"),
    ],
)
def test_what_is_refused(rules: object, words: str) -> None:
    with pytest.raises(InputError) as refused:
        rules_of(rules)  # type: ignore[arg-type]
    assert words in str(refused.value)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 1_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"where = ", "is no TOML"),
        (b"\xff", "is no TOML"),
        (b"a" + b".a" * 2_000 + b" = 1", "a line of more than 1,000 dots"),
        (b"where = 'x'\n" + b"#" * MAX_FILE, "more than 4,194,304 bytes"),
        (b"a = " + b"[" * 5_000 + b"]" * 5_000, "is no TOML"),
        (b"nothing = 1", "rules: nothing: there is no such rule"),
        (b"where = 'year > \\u001b[2J'", "is no part of a rule"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        rules_of(path)
    assert words in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        rules_of(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot be read"):
        rules_of(tmp_path)


@pytest.mark.parametrize("rules", [{"deny": ["\ud800"]}, {"pinned": [{"item_id": "\ud800", "place": 1}]}])
def test_half_of_a_surrogate_pair_is_no_text(rules: dict[str, object]) -> None:
    with pytest.raises(InputError, match="rules: half of a surrogate pair is no text"):
        rules_of(rules)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(b"\xef\xbb\xbfdeny = [7]")
    found = rules_of(path)
    assert found is not None and found.deny == (7,)
