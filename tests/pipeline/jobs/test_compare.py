"""`belfry compare` from outside: any tables, one report, exit codes, and every error by name."""

import json
import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from belfry import compare
from belfry.dataset.errors import InputError
from belfry.evaluation.reports.comparison.result import Comparison
from belfry.evaluation.reports.pages.json import json_schema, to_json
from belfry.pipeline.cli.commands import app
from tests.ab_tables import make_ab_tables
from tests.pipeline.cli.exit_codes import errors_as_exit_codes


@pytest.fixture(scope="module")
def tables():
    return make_ab_tables()


def write(table: pa.Table, path):
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


def from_json(text: str) -> Comparison:
    """What `to_json` wrote."""
    return TypeAdapter(Comparison).validate_json(text)


@pytest.fixture
def run(monkeypatch, capfd):
    """`run(*arguments)`: exit code and all that was said, as from the console script."""

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["belfry", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop, errors_as_exit_codes():
            app()
        said = capfd.readouterr()
        return int(stop.value.code or 0), said.out + said.err

    return call


@pytest.fixture
def files(tables, tmp_path):
    """Paths of the tables as Parquet, with two id columns and rank alone."""
    bare = {name: getattr(tables, name) for name in ("train", "test", "a", "b")}
    for name in ("train", "test"):
        bare[name] = bare[name].select(["user_id", "item_id"])
    return {name: write(table, tmp_path / f"{name}.parquet") for name, table in bare.items()}


@pytest.fixture
def call(run, tmp_path):
    """`call(files, *more)`: A against B, written to `tmp_path / "out"`."""

    def with_files(files, *more):
        data = ("--train", files["train"], "--test", files["test"], "--out", tmp_path / "out")
        return run(files["a"], files["b"], *data, *more)

    return with_files


def test_what_a_killed_comparison_has_left_goes_with_the_next(tables, tmp_path: Path) -> None:
    (left := tmp_path / "out" / ".comparing-1").mkdir(parents=True)
    for name in ("alive", "lists.parquet"):
        (left / name).touch()
    compare(tables.a, tables.b, train=tables.train, test=tables.test, out=tmp_path / "out")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".html", ".json", ".md"]


def test_two_id_columns_are_enough(files, tmp_path, call):
    code, said = call(files)
    assert code == 0, said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.html",
        "comparison.json",
        "comparison.md",
    ]
    assert said.startswith("b: better\nb is better than a in NDCG@10.\nSize: ")
    assert "Uncertainty: " in said
    assert "Next step: " in said
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (found["format"], found["format_version"]) == ("belfry-comparison", 2)
    assert found["verification"]["n_users"] == 60
    primary = found["challengers"][0]["metrics"][0]
    assert primary["metric"] == "ndcg@10"
    assert primary["low"] < primary["difference"] < primary["high"]


@cache
def compared(*, text_ids: bool):
    tables = make_ab_tables(text_ids=text_ids)
    return compare(tables.a, tables.b, train=tables.train, test=tables.test, items=tables.items, users=tables.users)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("text_ids", [False, True])
@pytest.mark.parametrize("by", ["rank", "score", "both"])
def test_any_table_gives_the_same_metrics(suffix, text_ids, by, tmp_path, call):
    tables = make_ab_tables(text_ids=text_ids)
    paths = {}
    for name in ("train", "test", "items", "users", "a", "b"):
        table = getattr(tables, name)
        if name in "ab":
            score = pc.negate(table["rank"]).cast(pa.float64())
            table = table.append_column("score", score) if by != "rank" else table
            table = table.drop_columns(["rank"]) if by == "score" else table
            table = table.take(np.random.default_rng(0).permutation(len(table)))
        if name == "items" and suffix == ".csv":
            table = table.set_column(2, "genres", pc.binary_join(table["genres"].combine_chunks(), "|"))
        paths[name] = write(table, tmp_path / f"{name}{suffix}")
    code, said = call(paths, "--items", paths["items"], "--users", paths["users"])
    assert code == 0, said
    found = from_json((tmp_path / "out" / "comparison.json").read_text())
    expected = compared(text_ids=text_ids)
    assert repr(found.challengers[0].metrics) == repr(expected.challengers[0].metrics)  # as text, for NaN is not NaN
    assert [one.group for one in found.challengers[0].slices] == [one.group for one in expected.challengers[0].slices]
    assert found.challengers[0].losers == expected.challengers[0].losers


def changed(table: pa.Table, row: int, **values: object) -> pa.Table:
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for name, value in values.items():
        columns[name][row] = value
    return pa.table(columns)


def errors(tables):
    b = tables.b
    scored = b.append_column("score", pc.negate(b["rank"]).cast(pa.float64()))
    seen = tables.train["item_id"][0].as_py()
    return {
        r"b\.parquet: the table cannot be judged\n- 1 row with a user and an item of an earlier row \(first in row 1": (
            changed(b, 1, item_id=b["item_id"][0].as_py())
        ),
        r"1 user with ranks that do not run 1, 2, 3, \.\.\. \(first in row 3\)": changed(b, 3, rank=40),
        r"2 rows with an item that the catalogue lacks \(first in rows 4, 9\)": changed(
            changed(b, 4, item_id=5_001), 9, item_id=5_002
        ),
        r"1 row with a score that is null, NaN or infinite \(first in row 7\)": changed(scored, 7, score=float("nan")),
        r"column 'user_id' is string and the data has int64 ids; cast it": b.set_column(
            0, "user_id", b["user_id"].cast(pa.string())
        ),
        r"column 'item_id' is double and the data has int64 ids; cast it": b.set_column(
            1, "item_id", b["item_id"].cast(pa.float64())
        ),
        r"1 row with an item that its user has seen \(first in row 0\)": changed(b, 0, item_id=seen),
        r"none of its 60 users has a test item": b.set_column(0, "user_id", pc.add(b["user_id"], 10_000)),
        r"columns 'rank' and 'score' are both missing": b.drop_columns(["rank"]),
        r"1 row with a null item_id \(first in row 2\)": changed(b, 2, item_id=None),
        r"there are no rows": b.slice(0, 0),
        r"600 rows with a score that is null, NaN or infinite": b.drop_columns(["rank"]).append_column(
            "score", pa.array([float("inf")] * len(b))
        ),
        r"1 row with a higher score than the rank before \(first in row 5\)": changed(scored, 5, score=9.0),
    }


@pytest.mark.parametrize("place", range(13))
def test_a_broken_table_is_refused_by_name_with_counts_and_rows(place, tables, files, tmp_path, call):
    message, table = list(errors(tables).items())[place]
    write(table, files["b"])
    code, said = call(files)
    assert code == 2, said
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert not list((tmp_path / "out").glob("*"))


def test_errors_of_all_tables_come_in_one_message(tables, files, tmp_path, call):
    write(changed(tables.a, 3, rank=40), files["a"])
    write(changed(tables.b, 4, item_id=5_001), files["b"])
    code, said = call(files)
    assert code == 2
    assert "a.parquet: the table cannot be judged\n- 1 user with ranks" in said
    assert "b.parquet: the table cannot be judged\n- 1 row with an item that the catalogue lacks" in said


def test_users_of_one_table_only_cannot_be_compared(tables, files, tmp_path, call):
    write(tables.a.slice(0, 300), files["a"])
    write(tables.b.slice(300), files["b"])
    code, said = call(files)
    assert code == 2
    assert "there are no common users" in said
    assert "a: 30 users; b: 30 users" in said


def test_a_user_without_a_list_counts_and_is_told(tables, files, tmp_path, call):
    write(tables.b.slice(100), files["b"])  # ten users have no list
    code, said = call(files)
    assert code == 0
    assert "b.parquet has no list for 16.7% of the test users" in said
    found = from_json((tmp_path / "out" / "comparison.json").read_text())
    assert found.verification.n_users == 60
    assert found.verification.tables[1].n_judged_without_list == 10
    (rail,) = (one for one in found.challengers[0].guardrails if one.metric == "has_list@10")
    assert rail.state == "broken"
    assert found.challengers[0].verdict.outcome == "guardrail broken"

    call(files, "--users-without-list", "leave-out")
    found = from_json((tmp_path / "out" / "comparison.json").read_text())
    assert found.verification.n_users == 50
    assert ("without a list in one of the tables", 10) in [(c.reason, c.n) for c in found.verification.left_out]


def test_who_is_left_out_is_counted(tables):
    test = pa.concat_tables(
        [
            tables.test.select(["user_id", "item_id"]),
            pa.table({"user_id": [0, 7_000, 7_001], "item_id": [999, 3, 998]}),  # unknown item; two strangers
            tables.train.select(["user_id", "item_id"]).slice(0, 1),  # seen before
        ]
    )
    found = compare(tables.a, tables.b, train=tables.train.select(["user_id", "item_id"]), test=test)
    told = {count.reason: count.n for count in found.verification.left_out}
    assert told["in part: 2 test rows of items outside of the catalogue"] == 2
    assert told["in part: 1 test rows of items that they had seen before"] == 1
    assert told["no test row of an item that is in the catalogue and was not seen before"] == 1
    assert told["in the test part, but in none of the tables"] == 1  # user 7000, who is cold
    assert told["judged without any history (cold)"] == 1
    assert found.verification.n_users == 60


@pytest.mark.parametrize("n_rows", [4, 20])
def test_a_handful_of_users_is_told_and_not_tested(tables, n_rows):
    found = compare(tables.a, tables.b, train=tables.train, test=tables.test.slice(0, n_rows))
    assert [system.name for system in found.systems] == ["A", "B"]
    assert found.challengers[0].verdict.outcome == "not shown"
    assert "too few" in found.challengers[0].verdict.uncertainty
    assert all(np.isnan(one.low) for one in found.challengers[0].slices)


def test_a_test_part_without_rows_is_refused(tables):
    with pytest.raises(InputError, match="test: has no rows; pass what users did"):
        compare(tables.a, tables.b, train=tables.train, test=tables.test.slice(0, 0))


def test_lengths_end_at_the_catalogue(tables):
    n_items = len(set(tables.train["item_id"].to_pylist()))
    found = compare(
        tables.a, tables.b, train=tables.train, test=tables.test, primary="ndcg@10000", cutoffs=[5, 1_000_000_000]
    )
    assert found.settings.primary == f"ndcg@{n_items}"
    assert f"ndcg@{n_items}" in {one.metric for one in found.challengers[0].metrics}
    note = f"The catalogue has {n_items:,} items, so lists of 1,000,000,000 are judged as lists of {n_items:,}."
    assert note in found.verification.notes


def test_short_lists_are_judged_at_their_length(tables):
    short = tables.b.filter(pc.less_equal(tables.b["rank"], 4))
    found = compare(tables.a, short, train=tables.train, test=tables.test)
    assert found.settings.primary == "ndcg@4"
    assert any("the primary metric is ndcg@4" in note for note in found.verification.notes)
    asked = compare(tables.a, short, train=tables.train, test=tables.test, primary="recall@10")
    assert asked.settings.primary == "recall@10"
    assert any(
        "hold at most 4 items; at 10 their missing places count as misses" in n for n in asked.verification.notes
    )


def test_three_systems_share_their_corrections_and_get_a_leaderboard(tables, tmp_path):
    found = compare(
        tables.a,
        tables.b,
        tables.a,
        train=tables.train,
        test=tables.test,
        names=("a", "b", "again"),
        out=tmp_path / "out",
    )
    assert [one.name for one in found.challengers] == ["b", "again"]
    assert found.challengers[0].p_primary == pytest.approx(2 * found.challengers[0].metrics[0].p_randomisation)
    assert found.challengers[1].verdict.outcome == "not shown"
    assert found.challengers[1].changes.rbo == pytest.approx(1)
    assert "again" in (tmp_path / "out" / "leaderboard.html").read_text()
    assert "## Leaderboard" in (tmp_path / "out" / "comparison.md").read_text()


def test_runs_of_training_are_joined_by_commas(files, tables, tmp_path, run):
    other = write(make_ab_tables(seed=0, chance_b=0.45).b, tmp_path / "b1.parquet")
    code, said = run(
        files["a"],
        f"{files['b']},{other}",
        "--train",
        files["train"],
        "--test",
        files["test"],
        "--out",
        tmp_path / "out",
    )
    assert code == 0, said
    assert "Training was repeated (1 and 2 runs)" in said
    seeds = from_json((tmp_path / "out" / "comparison.json").read_text()).challengers[0].seeds
    assert seeds is not None
    assert seeds.n_runs_challenger == 2


def test_a_log_with_propensities_gives_estimates_and_without_is_refused(tables):
    generator = np.random.default_rng(0)
    user = np.repeat(np.arange(60), 200)
    item = generator.integers(0, 80, len(user))
    log = pa.table({"user_id": user, "item_id": item, "reward": (generator.random(len(user)) < 0.2).astype(float)})
    arguments = {"train": tables.train, "test": tables.test, "items": tables.items}
    found = compare(tables.a, tables.b, **arguments, log=log, log_is_uniform=True).challengers[0].counterfactual
    assert found is not None
    assert not found.refused
    assert [value.estimator for value in found.values] == ["IPS", "SNIPS", "doubly robust"]
    assert found.values[1].baseline == pytest.approx(0.2, abs=0.05)
    with pytest.raises(InputError, match=r"log: cannot be used\n- column 'propensity' is needed once; where items"):
        compare(tables.a, tables.b, **arguments, log=log)
    bad = log.append_column("propensity", pa.array([0.0, 2.0, *[0.1] * (len(log) - 2)]))
    with pytest.raises(InputError, match=r"2 values that are not above 0 and up to 1 \(first in rows 0, 1\)"):
        compare(tables.a, tables.b, **arguments, log=bad)


def test_a_run_is_judged_beside_a_table(tiny_run, tiny_split, tmp_path):
    train, test = (part.to_table() for part in (tiny_split.train, tiny_split.test))
    from belfry import Recommender

    table = Recommender.load(tiny_run).recommend_many(tiny_split.train.users.ids, 20)
    found = compare(str(tiny_run), table, train=train, test=test, names=("run", "its table"), cutoffs=(10, 20))
    one = found.challengers[0]
    assert one.metrics[0].difference == 0
    assert one.changes.n_same == one.changes.n_users == found.verification.n_users
    assert "ms per user" in found.systems[0].costs["lists made here"]
    assert found.systems[1].costs == {}
    assert {origin.name for origin in one.changes.origins} >= {"two_tower"} or one.changes.origins


def test_equal_calls_give_equal_reports(tables):
    first, second = (compare(tables.a, tables.b, train=tables.train, test=tables.test) for _ in range(2))
    drop = re.compile(r'"created_at": "[^"]*"')
    assert drop.sub("", to_json(first)) == drop.sub("", to_json(second))


def test_the_json_keeps_to_its_documented_schema():
    path = Path(__file__).parents[3] / "docs" / "comparison.schema.json"
    documented = json.loads(path.read_text(encoding="utf-8"))
    assert documented == json_schema(), f"write json_schema() to {path.name}, and raise format_version where it is due"


def test_json_comes_back(tables):
    found = compare(tables.a, tables.b, train=tables.train, test=tables.test)
    text = to_json(found)
    assert to_json(from_json(text)) == text
    assert "NaN" not in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--primary", "ndcg"), "wanted METRIC@N"),
        (("--primary", "speed@10"), "not measured per user here; there are ndcg@"),
        (("--guardrail", "coverage@10"), "wanted METRIC@N=CHANGE"),
        (("--log", "nowhere.csv"), "no such file"),
        (("--name", "x", "--name", "y", "--name", "z"), "there are 3 for 2 systems"),
    ],
)
def test_a_wrong_call_is_told(more, message, files, tmp_path, call):
    code, said = call(files, *more)
    assert code == 2
    assert message in said
    assert not list((tmp_path / "out").glob("*"))


def test_one_system_and_a_missing_parent_are_refused(files, tmp_path, run):
    code, said = run(files["a"], "--train", files["train"], "--test", files["test"], "--out", tmp_path / "out")
    assert (code, "name at least two" in said) == (2, True)
    code, said = run(
        files["a"], files["b"], "--train", files["train"], "--test", files["test"], "--out", tmp_path / "no" / "out"
    )
    assert (code, "is not a folder; create it first" in said) == (2, True)


@pytest.mark.skipif(os.name == "nt", reason="modes of folders are POSIX")
def test_seen_items_may_be_allowed(tables, files, tmp_path, call):
    seen = tables.train["item_id"][0].as_py()
    write(changed(tables.b, 0, item_id=seen), files["b"])
    code, said = call(files, "--allow-seen")
    assert code == 0, said


def test_a_notebook_shows_the_verdicts_as_a_table_of_text(tables):
    names = ("old", "<script>alert(1)</script>")
    found = compare(tables.a, tables.b, train=tables.train, test=tables.test, names=names)
    html = found._repr_html_()
    assert "<script" not in html
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td><td>better</td>" in html
    assert "ndcg@10 against old, 60 users" in html
