"""The console script: bad input ends in exit code 2 and one message; a whole way from a table to lists."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.layers.saved.files import load_arrays
from belfry.pipeline.cli import commands as cli
from belfry.pipeline.runs.reader import open_run
from tests.pipeline.cli.exit_codes import errors_as_exit_codes

ROOT = Path(__file__).parents[3]
QUICK = (
    *("--set", "retrieval.epochs=3", "--set", "retrieval.embedding_size=8", "--set", "folds=2"),
    *("--set", "ranker.epochs=2", "--set", "ranker.widths=[8]", "--set", "n_candidates=20"),
    *("--set", "ranker.min_steps=1", "--set", "ranker.members=1"),
)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def belfry(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The console script, in this process."""
    monkeypatch.delenv("BELFRY_ARTIFACTS", raising=False)
    monkeypatch.delenv("BELFRY_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "300")

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["belfry", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped, errors_as_exit_codes():
            cli.app()
        return Done(int(stopped.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture
def artifacts(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run's artifacts folder, which may be written to."""
    (tmp_path / "artifacts" / tiny_run.name).parent.mkdir()
    shutil.copytree(tiny_run, tmp_path / "artifacts" / tiny_run.name)
    shutil.copy(tiny_run.parent / "current", tmp_path / "artifacts" / "current")
    return tmp_path / "artifacts"


def assert_refused(done: Done, message: str) -> None:
    """Exit code 2 and one message on stderr, which says `message`."""
    assert done.code == 2, done
    assert done.err.startswith("belfry: ")
    assert done.err.count("belfry: ") == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("verb", ["run", "train", "recommend", "batch", "evaluate", "compare"])
def test_one_switch_of_one_name(verb: str, belfry: Callable[..., Done], tmp_path: Path) -> None:
    said = belfry(verb, "--help").out
    assert "--repeats" in said
    assert "--allow-seen" in said


def test_two_switches_that_contradict(belfry: Callable[..., Done], artifacts: Path) -> None:
    done = belfry("recommend", 1, "--artifacts", artifacts, "--allow-seen", "--repeats", "only")
    assert done.code == 2
    assert "--allow-seen is --repeats allow, and contradicts --repeats only" in done.err


def test_seen_items_are_listed_where_they_may_be(belfry: Callable[..., Done], artifacts: Path) -> None:
    run = open_run(artifacts)
    user = pq.read_table(run.folder / "users.parquet")["user_id"][0].as_py()
    lists = [belfry("recommend", user, "--artifacts", artifacts, *more) for more in ((), ("--allow-seen",))]
    lists.append(belfry("recommend", user, "--artifacts", artifacts, "--repeats", "allow"))
    assert [done.code for done in lists] == [0, 0, 0]
    assert lists[0].out != lists[1].out == lists[2].out


def watches(n_users: int = 12, n_items: int = 15, seed: int = 0) -> dict[str, list]:
    """Half of all pairs."""
    cells = np.random.default_rng(seed).permutation(n_users * n_items)[: n_users * n_items // 2]
    return {"user_id": (cells // n_items).tolist(), "item_id": (cells % n_items).tolist()}


def csv(path: Path, table: dict[str, list]) -> Path:
    rows = [",".join("" if value is None else str(value) for value in row) for row in zip(*table.values(), strict=True)]
    path.write_text("\n".join([",".join(table), *rows]) + "\n")
    return path


# Tables that cannot be learned from; tests/dataset tells every way in which one can be broken.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.csv", b"", "is empty; a table needs a header and rows"),
        ("w.csv", b"user_id,item_id\n", "no rows"),
        ("w.csv", b"user,item_id\n1,2\n", "interactions: column 'user_id' is missing; there are 'user', 'item_id'"),
        ("w.csv", b"user_id,item_id\n1,2\n,3\n4,\n", "interactions: column 'user_id' has 1 null or empty ids"),
        ("w.csv", b"user_id,item_id,timestamp_s\n1,2,yesterday\n", "column 'timestamp_s'"),
        ("w.parquet", b"user_id,item_id\n1,2\n", "w.parquet: cannot be read"),
    ],
)
def test_tables_that_cannot_be_read(
    belfry: Callable[..., Done], tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(belfry("train", "--interactions", tmp_path / name, "--artifacts", tmp_path / "artifacts"), message)
    assert not (tmp_path / "artifacts").exists()


def test_a_missing_file(belfry: Callable[..., Done], tmp_path: Path) -> None:
    done = belfry("train", "--interactions", tmp_path / "no.csv", "--artifacts", tmp_path / "artifacts")
    assert_refused(done, "no.csv: no such file or folder; check the path")
    table = csv(tmp_path / "w.csv", watches())
    done = belfry("train", "--interactions", table, "--items", tmp_path / "no.parquet", "--artifacts", tmp_path / "a")
    assert_refused(done, "no.parquet: no such file or folder")


def test_ids_that_are_nan(belfry: Callable[..., Done], tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": [1.0, np.nan, 2.0], "item_id": [1, 2, 3]}), tmp_path / "w.parquet")
    done = belfry("train", "--interactions", tmp_path / "w.parquet", "--artifacts", tmp_path / "artifacts")
    assert_refused(done, "interactions: column 'user_id'")


def test_everything_wrong_is_told_at_once(belfry: Callable[..., Done], tmp_path: Path) -> None:
    table = {"user_id": [1, None, 3], "item": [1, 2, 3], "rating": ["good", "bad", "3"]}
    done = belfry("train", "--interactions", csv(tmp_path / "w.csv", table), "--artifacts", tmp_path / "artifacts")
    assert_refused(done, "3 problems in the tables (rows counted from 0)")
    for name in ("user_id", "item_id", "rating"):
        assert f"column '{name}'" in done.err


def test_ratings_out_of_the_declared_range(belfry: Callable[..., Done], tmp_path: Path) -> None:
    table = csv(tmp_path / "w.csv", {"user_id": [1, 2, 3], "item_id": [1, 2, 3], "rating": [1, 6, 0]})
    done = belfry(
        *("train", "--interactions", table, "--artifacts", tmp_path / "artifacts"),
        *("--set", "data.rating_range=[1,5]"),
    )
    assert_refused(done, "interactions: column 'rating' has 2 ratings outside of 1 to 5 (first in row 1)")


@pytest.mark.parametrize("n_items", [1, 2, 40])
@pytest.mark.parametrize("holdout", ["random", "time", "last"])
def test_all_rows_of_one_user(belfry: Callable[..., Done], tmp_path: Path, holdout: str, n_items: int) -> None:
    table = {
        "user_id": [1] * n_items,
        "item_id": list(range(n_items)),
        "timestamp_s": [10**9 + row for row in range(n_items)],
    }
    done = belfry(
        *("train", "--interactions", csv(tmp_path / "w.csv", table), "--artifacts", tmp_path / "artifacts"),
        *("--holdout", holdout, *QUICK),
    )
    assert_refused(done, "one user")
    assert not list((tmp_path / "artifacts").glob("default-*"))


@pytest.mark.parametrize("holdout", ["time", "last"])
def test_a_holdout_without_times(belfry: Callable[..., Done], tmp_path: Path, holdout: str) -> None:
    table = csv(tmp_path / "w.csv", watches())
    done = belfry("train", "--interactions", table, "--artifacts", tmp_path / "artifacts", "--holdout", holdout)
    assert_refused(done, f"holdout '{holdout}' needs a timestamp_s column in the interactions")
    assert done.err.endswith("use holdout random\n")


def test_rows_in_order_are_split_and_held_back_by_last_events(belfry: Callable[..., Done], tmp_path: Path) -> None:
    rows = watches()
    table = csv(tmp_path / "w.csv", rows)
    common = ("--artifacts", tmp_path / "artifacts", "--quiet", "--set", "data.order=rows", *QUICK)
    done = belfry("run", "--data", table, *common)
    assert done.code == 0, done.err
    run = open_run(tmp_path / "artifacts")
    assert run.manifest.holdout == "last"
    assert "half_life_days needs a timestamp_s column" in run.manifest.notes["left_out"]["popularity"]
    train, test = (pq.read_table(run.folder / "split" / name) for name in ("train.parquet", "test.parquet"))
    last = dict(zip(rows["user_id"], rows["item_id"], strict=True))
    assert dict(zip(test["user_id"].to_pylist(), test["item_id"].to_pylist(), strict=True)) == last
    assert len(train) + len(last) == len(rows["user_id"])
    done = belfry("train", "--interactions", table, "--holdout", "time", *common)
    assert_refused(done, "holdout 'time' needs a timestamp_s column in the interactions; use holdout last")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "folds"], "--set 'folds': wanted key=value"),
        (["--set", "foldz=3"], "foldz"),
        (["--set", "folds=1"], "folds: Input should be greater than or equal to 2"),
        (["--set", "retrieval.epochs=many"], "config: retrieval.epochs: "),
        (["--preset", "nonsense"], "preset 'nonsense': known are default"),
        (["--holdout", "yesterday"], "'yesterday' is not one of 'time', 'last', 'random'"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--seed", "4294967296"], "Invalid value for '--seed'"),
    ],
)
def test_settings_that_are_wrong(
    belfry: Callable[..., Done], tmp_path: Path, arguments: list[str], message: str
) -> None:
    table = csv(tmp_path / "w.csv", watches())
    done = belfry("train", "--interactions", table, "--artifacts", tmp_path / "artifacts", *arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_artifacts_that_cannot_be_written(belfry: Callable[..., Done], tmp_path: Path) -> None:
    table = csv(tmp_path / "w.csv", watches())
    assert_refused(
        belfry("train", "--interactions", table, "--artifacts", table), "w.csv: is a file, a folder is wanted"
    )
    done = belfry("train", "--interactions", table, "--artifacts", tmp_path / "no" / "artifacts")
    assert_refused(done, "is not a folder; create it first or name another place")


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (["--set", "retrieval.learning_rate=1e6"], 1, "lower its learning_rate"),
        (["--holdout", "last"], 2, "use holdout random"),
        (["--set", "data.rating_range=[1,5]"], 2, "column 'rating'"),
    ],
)
def test_the_last_run_stays_after_a_train_that_failed(
    belfry: Callable[..., Done], artifacts: Path, tmp_path: Path, settings: list[str], code: int, message: str
) -> None:
    before = {path: path.read_bytes() for path in artifacts.rglob("*") if path.is_file()}
    table = watches()
    table["rating"] = [9] * len(table["user_id"])
    done = belfry(
        "train", "--interactions", csv(tmp_path / "w.csv", table), "--artifacts", artifacts, *QUICK, *settings
    )
    assert done.code == code, done
    assert message in done.err
    assert "Traceback" not in done.err
    after = {path: path.read_bytes() for path in artifacts.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before
    assert belfry("recommend", "1", "--artifacts", artifacts).code == 0


# Lists.


@pytest.mark.parametrize("verb", [["recommend", "1001"], ["batch", "--out", "out"], ["evaluate", "--test", "test.csv"]])
def test_a_folder_that_is_no_artifacts_folder(belfry: Callable[..., Done], tmp_path: Path, verb: list[str]) -> None:
    assert_refused(belfry(*verb, "--artifacts", tmp_path), f"{tmp_path}: not an artifacts folder, or one without a run")
    (tmp_path / "file").touch()
    assert_refused(belfry(*verb, "--artifacts", tmp_path / "file"), "is a file; an artifacts folder")
    assert_refused(belfry(*verb, "--artifacts", tmp_path / "no"), "no such folder; train first (belfry train)")


def test_the_version(belfry: Callable[..., Done]) -> None:
    done = belfry("--version")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"belfry-recommender \S.*\n", done.out)


def test_recommend(belfry: Callable[..., Done], tiny_run: Path) -> None:
    user = int(load_arrays(tiny_run / "history")["user_num"][0]) + 1000
    done = belfry("recommend", user, "99", "-n", "3", "--artifacts", tiny_run.parent)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) == 8
    assert (lines[0], lines[4]) == (f"user {user}", "user 99 (cold: popular now)")
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]


def test_recommend_for_somebody_new(belfry: Callable[..., Done], tiny_run: Path) -> None:
    told = ("--features", "age=31,gender=F", "--features", "occupation=writer", "--artifacts", tiny_run)
    done = belfry("recommend", *told, "-n", 3)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "user new (cold: popular now)"
    known = belfry("recommend", 10**6, *told, "-n", 3)
    assert known.out.splitlines()[1:] == done.out.splitlines()[1:]
    items = [line.split()[1] for line in done.out.splitlines()[1:]]
    later = belfry("recommend", *told, "--history", ",".join(items[:2]), "--history", items[2])
    assert later.out.splitlines()[0] == "user new"
    assert not set(items) & {line.split()[1] for line in later.out.splitlines()[1:]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a user, or say by --features or --history who is asked for"),
        (["--features", "age"], "'age': wanted COLUMN=VALUE"),
        (["--features", "age=3,age=4"], "each column once"),
        (["--features", "age=old"], "column 'age' of run .* holds a number, 'old' is none"),
        (["--features", "height=3"], "reads no column 'height' of users, there are 'age', 'gender', 'occupation'"),
        (["--history", "x"], "id 'x': the ids of run .* are whole numbers"),
    ],
)
def test_somebody_new_who_is_told_wrongly(
    belfry: Callable[..., Done], tiny_run: Path, arguments: list[str], message: str
) -> None:
    done = belfry("recommend", *arguments, "--artifacts", tiny_run)
    assert done.code == 2
    assert re.search(message, done.err)


def test_recommend_with_reasons(belfry: Callable[..., Done], tiny_run: Path) -> None:
    user = int(load_arrays(tiny_run / "history")["user_num"][0]) + 1000
    done = belfry("recommend", user, "99", "-n", "2", "--explain", "--artifacts", tiny_run)
    assert (done.code, done.err) == (0, "")
    known, cold = done.out.split("user 99 (cold: popular now)\n")
    places = known.splitlines()[1:]
    assert [line.split()[0] for line in places] == ["1", "watched", "features", "2", "watched", "features"]
    assert re.search(r"features  .*similarity to what was watched [+-]\d\.\d\d", known)
    assert re.search(r"watched   \S.* \(\d{4}\) \d+%, ", known)
    assert [line.split()[0] for line in cold.splitlines()[:4]] == ["1", "features", "2", "features"]
    assert "log-odds" in cold


def test_a_user_with_nothing_left(belfry: Callable[..., Done], tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belfry.Recommender.recommend", lambda *arguments, **options: [])
    done = belfry("recommend", "1001", "--artifacts", tiny_run)
    assert done.out == "user 1001: nothing left to recommend\n"


def test_an_unknown_user_under_strict(belfry: Callable[..., Done], tiny_run: Path) -> None:
    done = belfry("recommend", "99", "--strict", "--artifacts", tiny_run)
    assert_refused(done, f"user 99 is not in run {tiny_run.name}; leave out strict for a cold answer")


def test_an_id_of_another_type(belfry: Callable[..., Done], tiny_run: Path) -> None:
    for text in ("anna", "1_001", "01001", "+1001"):
        done = belfry("recommend", text, "--artifacts", tiny_run)
        assert_refused(
            done, f"id '{text}': the ids of run {tiny_run.name} are whole numbers (int64), written as in a CSV"
        )


def test_a_negative_id(belfry: Callable[..., Done], tiny_run: Path) -> None:
    assert belfry("recommend", "--artifacts", tiny_run, "--", "-5").out.startswith("user -5 (cold: popular now)")


def test_a_damaged_run(belfry: Callable[..., Done], artifacts: Path, tiny_run: Path) -> None:
    (artifacts / tiny_run.name / "serving" / "ranker" / "ranker.onnx").write_bytes(b"")
    assert_refused(
        belfry("recommend", "1001", "--artifacts", artifacts), "file 'serving/ranker/ranker.onnx' has 0 bytes"
    )


@pytest.mark.parametrize("n", ["0", "-1", "ten"])
@pytest.mark.parametrize("verb", [["recommend", "1001"], ["batch", "--out", "out"]])
def test_an_n_that_is_no_count(belfry: Callable[..., Done], tiny_run: Path, verb: list[str], n: str) -> None:
    done = belfry(*verb, "-n", n, "--artifacts", tiny_run)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_batch_to_a_database(
    belfry: Callable[..., Done], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "lists.duckdb"
    done = belfry("batch", "--out", f"duckdb:{path}?table=lists", "--artifacts", tiny_run, "-n", "2", "--quiet")
    assert done.code == 0, done
    assert f"table  duckdb:{path}, table lists" in done.out
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.sql("SELECT min(rank), max(rank) FROM lists").fetchall() == [(1, 2)]
    done = belfry("batch", "--out", f"duckdb:{path}?table=1", "--artifacts", tiny_run)
    assert (done.code, done.out) == (2, "")
    assert "'1' is no plain name" in done.err


def test_batch_for_users_of_a_table_that_has_none(belfry: Callable[..., Done], tiny_run: Path, tmp_path: Path) -> None:
    users = csv(tmp_path / "users.csv", {"user": [1001]})
    done = belfry("batch", "--users", users, "--out", tmp_path / "out", "--artifacts", tiny_run)
    assert_refused(done, "users.csv: has 0 columns 'user_id', one is needed")
    done = belfry("batch", "--users", tmp_path / "no.csv", "--out", tmp_path / "out", "--artifacts", tiny_run)
    assert_refused(done, "no.csv: no such file or folder")
    assert not (tmp_path / "out").exists()


def test_workers_of_the_table_job(
    belfry: Callable[..., Done], tiny_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for wrong in ("0", "-1", "two"):
        done = belfry("batch", "--workers", wrong, "--out", tmp_path / "out", "--artifacts", tiny_run)
        assert done.code == 2
        assert "Invalid value for '--workers'" in done.err
    done = belfry("batch", "--workers", "9999", "--out", tmp_path / "out", "--artifacts", tiny_run, "--quiet")
    assert done.code == 0
    assert "workers=9999: this process may use" in caplog.text


def test_evaluate_on_a_table_that_is_none(belfry: Callable[..., Done], tiny_run: Path, tmp_path: Path) -> None:
    done = belfry("evaluate", "--test", tmp_path / "no.csv", "--artifacts", tiny_run, "--out", tmp_path / "out")
    assert_refused(done, "no.csv: no such file or folder")
    test = csv(tmp_path / "test.csv", {"user_id": [1001], "film": [7]})
    done = belfry("evaluate", "--test", test, "--artifacts", tiny_run, "--out", tmp_path / "out")
    assert_refused(done, "column 'item_id'")
    stranger = csv(tmp_path / "strangers.csv", {"user_id": [1], "item_id": [501]})
    done = belfry("evaluate", "--test", stranger, "--artifacts", tiny_run, "--out", tmp_path / "out")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_evaluate_into_a_folder_that_cannot_be(belfry: Callable[..., Done], tiny_run: Path, tmp_path: Path) -> None:
    test = csv(tmp_path / "test.csv", {"user_id": [1001], "item_id": [501]})
    out = tmp_path / "no" / "such" / "folder"
    done = belfry("evaluate", "--test", test, "--artifacts", tiny_run, "--out", out)
    assert_refused(done, "is not a folder; create it first or name another place")


def test_evaluating_lists_needs_what_was_known_before(belfry: Callable[..., Done], tmp_path: Path) -> None:
    done = belfry("evaluate", "--test", tmp_path / "t.csv", "--recommendations", tmp_path / "r.csv")
    assert done.code == 2
    assert "--recommendations needs --train" in done.err


# Processes of their own.


def test_python_m_belfry_is_the_console_script(tmp_path: Path) -> None:
    """From any folder, be there a `pipeline.py` and a `dataset` of the user's own."""
    (tmp_path / "pipeline.py").write_text("raise AssertionError")
    (tmp_path / "dataset").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    for arguments, code in ((["--help"], 0), (["recommend", "1", "--artifacts", "none"], 2)):
        command = [sys.executable, "-m", "belfry", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == code, done
        if code:
            assert done.stderr == "belfry: none: no such folder; train first (belfry train), or name another folder\n"
        else:
            assert "two towers find candidates" in done.stdout
            assert "Usage: python -m belfry" in done.stdout


def test_a_process_that_fails_says_one_thing(tmp_path: Path) -> None:
    for arguments, code in (
        (["recommend", "1", "--artifacts", str(tmp_path)], 2),
        (["train", "--interactions", str(tmp_path / "no.csv"), "--artifacts", str(tmp_path / "a")], 2),
        (["no-such-verb"], 2),
    ):
        command = [sys.executable, "-m", "belfry", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == code, done
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert 0 < len(done.stderr.splitlines()) <= 8


def test_from_two_columns_to_lists(belfry: Callable[..., Done], tmp_path: Path) -> None:
    """Ids as text and nothing else; and once more, so that `current` moves on."""
    table = {name: [f"{name[0]}{value}" for value in values] for name, values in watches().items()}
    is_test = np.arange(len(table["user_id"])) % 5 == 0
    parts = [
        {
            name: [value for value, chosen in zip(values, is_test == side, strict=True) if chosen]
            for name, values in table.items()
        }
        for side in (False, True)
    ]
    train, test = csv(tmp_path / "train.csv", parts[0]), csv(tmp_path / "test.csv", parts[1])
    artifacts = tmp_path / "artifacts"
    done = belfry("train", "--interactions", train, "--artifacts", artifacts, "--quiet", *QUICK)
    assert done.code == 0, done
    run = open_run(artifacts)
    assert done.out == f"{run.manifest.gate.line}\npublished {run.folder}\n"
    assert done.err == ""
    assert run.manifest.holdout == "random"
    assert (artifacts / "current").read_text() == f"{run.name}\n"

    done = belfry("recommend", "u3", "stranger", "-n", "4", "--artifacts", artifacts)
    assert done.code == 0, done
    known, cold = done.out.split("user stranger")
    seen = {item for user, item in zip(*parts[0].values(), strict=True) if user == "u3"}
    listed = [line.split()[1] for line in known.splitlines()[1:]]
    assert len(listed) == 4
    assert not seen & set(listed)
    assert cold.startswith(" (cold: popular now)")

    for stage in ("final", "retrieval"):
        out = tmp_path / stage
        done = belfry("batch", "--artifacts", artifacts, "--out", out, "-n", "4", "--stage", stage, "--quiet")
        assert done.code == 0, done
        rows = pq.read_table(out / "recommendations.parquet")
        assert rows.schema.metadata[b"belfry.stage"] == stage.encode()
        assert set(rows["user_id"].to_pylist()) == set(parts[0]["user_id"])
        pairs = set(zip(rows["user_id"].to_pylist(), rows["item_id"].to_pylist(), strict=True))
        assert len(pairs) == rows.num_rows
        assert not pairs & set(zip(*parts[0].values(), strict=True))
    final = pq.read_table(tmp_path / "final" / "recommendations.parquet").to_pylist()
    assert [row["item_id"] for row in final if row["user_id"] == "u3"] == listed

    done = belfry("evaluate", "--artifacts", artifacts, "--test", test, "-n", "5", "--out", tmp_path / "report")
    assert done.code == 0, done
    for name in ("popularity", "ItemKNN", "retrieval", "both stages"):
        assert name in done.out
    assert "Retrieval loses 0." in done.out
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text())["run"] == run.name
    assert "both stages" in (tmp_path / "report" / "evaluation.md").read_text()

    done = belfry(
        *("evaluate", "--recommendations", tmp_path / "final", "--train", train, "--test", test),
        *("-n", "4", "--out", tmp_path / "judged"),
    )
    assert done.code == 0, done
    assert (tmp_path / "judged" / "evaluation.json").is_file()
    assert open_run(artifacts).name == run.name  # nothing was added to the run
