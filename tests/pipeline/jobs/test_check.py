"""`belfry check`: the report on tables without training; and that no table ends in an internal error."""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import belfry
from belfry.dataset.errors import InputError
from belfry.pipeline.cli.commands import app
from belfry.pipeline.jobs.check import check_tables

LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=2", "ranker=none", "sources=[]")
N_USERS, N_ITEMS = 12, 15
ITEM_IDS, USER_IDS = list(range(100, 100 + N_ITEMS)), list(range(1, N_USERS + 1))


def watches() -> pa.Table:
    """Half of all pairs, at times of their own."""
    cells = np.random.default_rng(0).permutation(N_USERS * N_ITEMS)[: N_USERS * N_ITEMS // 2]
    times = 1_600_000_000 + 86_400 * np.random.default_rng(1).permutation(len(cells))
    return pa.table({"user_id": cells // N_ITEMS + 1, "item_id": cells % N_ITEMS + 100, "timestamp_s": times})


def items() -> pa.Table:
    genres = ["noir|war", "war|drama", "drama|noir"] * (N_ITEMS // 3)
    return pa.table({"item_id": ITEM_IDS, "title": [f"film {k}" for k in range(N_ITEMS)], "genres": genres})


def written(folder: Path) -> dict[str, str]:
    """CSV files of watches, items and users."""
    users = pa.table({"user_id": USER_IDS, "region": ["a", "b", "c"] * (N_USERS // 3)})
    paths = {}
    for name, table in {"events": watches(), "items": items(), "users": users}.items():
        paths[name] = str(folder / f"{name}.csv")
        csv.write_csv(table, paths[name])
    return paths


def test_the_report_says_what_training_would_take() -> None:
    found = check_tables(watches(), items=items(), settings=["data.list_columns=genres"])
    assert not found.errors
    assert (found.n_users, found.n_items, found.n_events) == (N_USERS, N_ITEMS, len(watches()))
    assert (found.preset, found.holdout) == ("default", "time")
    assert found.sources[0] == "two_tower"
    assert {use.column: use.taken_as for use in found.columns}["genres"] == "list"
    assert found.lines()[-1].startswith("training would take preset default, holdout time, two_tower, ")


def test_events_that_are_not_listed_and_weights_of_zero_are_in_the_report(caplog: pytest.LogCaptureFixture) -> None:
    table = watches()
    events = pa.array(["seen" if row < 5 else "watched" for row in range(len(table))])
    weights = pa.array([0.0 if row in (7, 8) else 2.0 + row % 2 for row in range(len(table))])
    found = check_tables(table.append_column("event", events).append_column("weight", weights))
    notes = json.loads(found.to_json())["notes"]
    assert "interactions: 2 rows of weight 0 are left out" in notes
    (unlisted,) = (note for note in notes if "does not list" in note)
    assert "'seen' (5 rows); each row counts as a watch" in unlisted
    assert not caplog.records
    none = check_tables(table.append_column("weight", pa.array([0.0] * len(table))))
    assert none.errors and "none of" in none.errors[0]


def test_without_times_sources_that_need_them_are_left_out_by_name() -> None:
    found = check_tables(watches().drop_columns("timestamp_s"))
    assert not found.errors
    assert found.holdout == "random"
    assert "popularity" in dict(found.left_out)


@pytest.mark.parametrize(
    ("table", "asked", "error"),
    [
        (watches().drop_columns("item_id"), [], "interactions: column 'item_id' is missing"),
        (watches().slice(0, 0), [], "interactions: has no rows"),
        (pa.table({"user_id": [1, 2, 3], "item_id": [100, 101, 100]}), [], "no user has two events"),
        (watches(), ["data.ignore_columns=genre"], "did you mean 'genres'?"),
        (watches(), ["ranker.kind=bayesian_factorisation"], "'rating'"),
        (watches(), ["retrieval.kind=sequence", "retrieval.time=true"], None),
    ],
)
def test_what_training_would_refuse_is_an_error(table: pa.Table, asked: list[str], error: str | None) -> None:
    found = check_tables(table, items=items(), settings=asked)
    if error is None:
        assert not found.errors
        return
    assert error in "\n".join(found.errors)
    assert found.columns
    with pytest.raises(InputError):
        belfry.train(table, items(), settings=asked)


def test_a_wrong_setting_is_no_report() -> None:
    with pytest.raises(InputError, match=r"text_columns: there is no such setting, did you mean data\.text_columns\?"):
        check_tables(watches(), settings=["text_columns=title"])


def test_the_verb_prints_the_report_and_ends_in_two_where_training_would_refuse(tmp_path: Path) -> None:
    paths, runner = written(tmp_path), CliRunner()
    fine = runner.invoke(app, ["check", paths["events"], "--items", paths["items"]])
    assert fine.exit_code == 0, fine.output
    assert "note: items: column 'genres' looks like a list" in fine.output
    assert "training would take preset default" in fine.output
    refused = runner.invoke(app, ["check", paths["items"], "--json"])
    assert refused.exit_code == 2
    report = json.loads(refused.stdout)
    assert report["can_train"] is False
    assert "column 'user_id' is missing" in report["errors"][0]
    gone = runner.invoke(app, ["check", str(tmp_path / "gone.csv")])
    assert gone.exit_code == 2
    assert "no such file" in gone.output


def test_further_tables_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    paths = written(tmp_path)
    found = check_tables(paths["events"], paths["users"], paths["items"])
    assert {use.table for use in found.columns} == {"interactions", "items", "users"}
    with pytest.raises(InputError, match="second table of items"):
        check_tables(paths["events"], paths["items"], items=paths["items"])


def test_checking_loads_no_tensorflow() -> None:
    before = "tensorflow" in sys.modules
    check_tables(watches(), items=items())
    assert ("tensorflow" in sys.modules) == before


ODD_NAMES = st.one_of(
    st.sampled_from(
        [
            *("history", "recent", "uniform", "recency", "window", "user", "ids", "column_0", "age", "age_bucket", ""),
            *(
                "a b",
                "a/b",
                "a:0",
                "x.npy",
                "x",
                "\x00",
                "rating",
                "title",
                "Title",
                "^x",
                "日本",
                "a" * 10_000,
                "file",
            ),
        ]
    ),
    st.text(max_size=6),
)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a table that fails is small as it is


def cells_of(n: int) -> st.SearchStrategy[pa.Array]:
    """A column of any type, with gaps."""
    words = st.sampled_from(["a", "b", "c", "a|b", "b;c", "['a', 'b']", '["a"]', "[", "1", "02", "1e9", "", " ", "\n"])
    values: list[st.SearchStrategy[Any]] = [
        words,
        st.text(max_size=5),
        st.integers(-3, 3),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.booleans(),
        st.dates(),
        st.datetimes(),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-99, max_value=99, places=2),
        st.lists(words, max_size=3),
        st.lists(st.integers(0, 3), max_size=3),
        st.lists(st.floats(), max_size=2),
        st.binary(max_size=3),
        st.fixed_dictionaries({"a": st.integers(0, 1)}),
        st.timedeltas(dt.timedelta(0), dt.timedelta(9)),
        st.just("same"),
    ]
    columns = [st.lists(st.one_of(st.none(), value), min_size=n, max_size=n) for value in values]
    made = st.one_of(*columns).map(pa.array)
    counted = st.sampled_from([pa.array(range(n)), pa.array([f"own {k}" for k in range(n)]), pa.nulls(n)])
    return st.one_of(made, counted)


def tables_of(id_column: str, ids: list[int]) -> st.SearchStrategy[pa.Table]:
    columns = st.lists(st.tuples(ODD_NAMES, cells_of(len(ids))), max_size=6)
    return columns.map(
        lambda named: pa.Table.from_arrays(
            [pa.array(ids), *(values for _, values in named)], names=[id_column, *(name for name, _ in named)]
        )
    )


KINDS = ["category", "list", "numeric", "text", "ignore"]


@settings(deadline=None, max_examples=60, phases=PHASES)
@given(
    tables_of("item_id", ITEM_IDS),
    tables_of("user_id", USER_IDS),
    st.lists(st.sampled_from(KINDS), max_size=3),
    st.data(),
)
def test_any_table_is_checked_in_words_and_what_is_accepted_is_encoded(
    item_table: pa.Table, user_table: pa.Table, kinds: list[str], data: st.DataObject
) -> None:
    names = [*item_table.column_names[1:], *user_table.column_names[1:]]
    asked = []
    if names:
        for kind in dict.fromkeys(kinds):
            asked.append(f"data.{kind}_columns={json.dumps([data.draw(st.sampled_from(names))], ensure_ascii=False)}")
    try:
        found = check_tables(watches(), items=item_table, users=user_table, settings=[*LIGHT, *asked])
    except InputError:
        return  # a setting that names a column twice
    lines = "\n".join(found.lines())
    assert "\x00" not in lines
    json.loads(found.to_json())
    is_drop = ["data.unusable_column=drop", *LIGHT]
    if any("is there" in error for error in found.errors):
        return
    assert all(": column " in error or "data." in error for error in found.errors)
    check_tables(watches(), items=item_table, users=user_table, settings=is_drop)


@settings(deadline=None, max_examples=12, phases=PHASES)
@given(tables_of("item_id", ITEM_IDS), tables_of("user_id", USER_IDS))
def test_any_table_that_is_accepted_trains_and_answers(item_table: pa.Table, user_table: pa.Table) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        asked = [*LIGHT, "data.unusable_column=drop"]
        found = check_tables(watches(), items=item_table, users=user_table, settings=asked)
        if found.errors:
            with pytest.raises(InputError):
                belfry.train(watches(), item_table, user_table, settings=asked, artifacts=folder)
            return
        run = belfry.train(watches(), item_table, user_table, settings=asked, artifacts=folder)
        assert len(run.recommend(1, 3, explain=True)) == 3
        assert len(run.recommend(999, 3, explain=True)) == 3
