"""`--json`: every verb that prints results has it, and puts one document on stdout and nothing else."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from belfry.dataset.sources.demo import generate
from belfry.pipeline.cli.commands import app
from belfry.pipeline.cli.terminal import print_json
from belfry.pipeline.runs.reader import current_run
from benchmarks.serving.server import second_run
from tests.ab_tables import make_ab_tables

WITHOUT_JSON = {"serve": "answers over HTTP, and prints where"}
WITHOUT_QUIET = {
    "serve": "has --no-access-log",
    "doctor": "prints its result and nothing else",
    **{f"runs {verb}": "prints its result and nothing else" for verb in ("list", "show", "diff", "prune", "rollback")},
    "runs verify": "prints its result and nothing else",
}
LIGHT = (
    *("--quiet", "--set", "retrieval.kind=pure_svd", "--set", "retrieval.embedding_size=4", "--set", "ranker=none"),
    *("--set", "sources=[]"),
)


def verbs() -> Iterator[tuple[str, set[str]]]:
    """Every verb of the application, as it is typed, and its options."""

    def below(command: object, words: str) -> Iterator[tuple[str, set[str]]]:
        if commands := getattr(command, "commands", None):
            for name, inner in commands.items():
                yield from below(inner, f"{words} {name}".strip())
        else:
            yield words, {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]

    return below(typer.main.get_command(app), "")


@pytest.mark.parametrize(("option", "without"), [("--json", WITHOUT_JSON), ("--quiet", WITHOUT_QUIET)])
def test_every_verb_has_it_or_a_reason(option: str, without: dict[str, str]) -> None:
    lacking = {verb for verb, options in verbs() if option not in options}
    assert lacking == set(without)


def answer(*words: object, code: int = 0) -> object:
    """The one document that the verb puts on stdout."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    assert done.stdout.isascii()
    return json.loads(done.stdout)


@pytest.fixture
def artifacts(tiny_run: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    shutil.copytree(tiny_run, folder / tiny_run.name)
    shutil.copy(tiny_run.parent / "current", folder / "current")
    return folder


@pytest.fixture
def watches(tmp_path: Path) -> Path:
    path = tmp_path / "watches.csv"
    pcsv.write_csv(generate(n_users=120, n_items=60, n_watches=3_000).interactions, path)
    return path


def test_train_and_check(watches: Path, tmp_path: Path) -> None:
    told = answer("train", "--interactions", watches, "--artifacts", tmp_path / "runs", *LIGHT)
    run = current_run(tmp_path / "runs")
    assert (told["run"], told["folder"]) == (run.name, str(run))
    assert told["gate"] == json.loads((run / "manifest.json").read_text())["gate"]
    assert set(told["seconds"]["the rest"]) == {"cpu", "wall"}
    assert answer("check", watches)["can_train"] is True


def test_run(watches: Path, tmp_path: Path) -> None:
    told = answer("run", "--data", watches, "--artifacts", tmp_path / "runs", *LIGHT)
    run = current_run(tmp_path / "runs")
    assert (told["run"], told["folder"]) == (run.name, str(run))
    assert told["evaluation"] == json.loads((run / "evaluation.json").read_text())
    assert Path(told["table"]["place"]).is_file()


def test_recommend(artifacts: Path, tiny_run: Path) -> None:
    user = pq.read_table(tiny_run / "users.parquet")["user_id"][0].as_py()
    told = answer("recommend", user, 10**6, "-n", 2, "--explain", "--artifacts", artifacts)
    assert told["run"] == tiny_run.name
    known, cold = told["lists"]
    assert (known["user"], cold["user"]) == (user, 10**6)
    assert [place["rank"] for place in known["items"]] == [1, 2]
    assert {place["origin"] for place in cold["items"]} == {"cold"}
    because = known["items"][0]["because"]
    assert set(because["watched"][0]) == {"item_id", "title", "share"}
    assert set(because["features"][0]) == {"feature", "change"}
    new = answer("recommend", "--features", "age=31", "--where", "item_id < 0", "--artifacts", artifacts)
    [nobody] = new["lists"]
    assert (nobody["user"], nobody["items"]) == (None, [])
    assert nobody["why_fewer"] == "0 of 120 items may be listed"


def test_batch(artifacts: Path, tmp_path: Path) -> None:
    told = answer("batch", "--out", tmp_path / "out", "--artifacts", artifacts)
    assert told["n_rows"] == len(pq.read_table(told["place"]))


def test_evaluate(artifacts: Path, tiny_split: object, tmp_path: Path) -> None:
    test = tmp_path / "test.parquet"
    pq.write_table(tiny_split.test.to_table(), test)  # type: ignore[attr-defined]
    told = answer("evaluate", "--test", test, "--artifacts", artifacts, "--out", tmp_path / "out")
    assert told == json.loads((tmp_path / "out" / "evaluation.json").read_text())


def test_compare(tmp_path: Path) -> None:
    made = make_ab_tables()
    for name in ("a", "b", "train", "test"):
        pq.write_table(getattr(made, name), tmp_path / f"{name}.parquet")
    a, b, train, test = (tmp_path / f"{name}.parquet" for name in ("a", "b", "train", "test"))
    told = answer("compare", a, b, "--train", train, "--test", test, "--out", tmp_path / "out")
    assert told == json.loads((tmp_path / "out" / "comparison.json").read_text())


def test_tune(watches: Path, tmp_path: Path) -> None:
    told = answer("tune", "--interactions", watches, "--out", tmp_path / "search", "--trials", 1, *LIGHT)
    assert told == {
        "preset": str(tmp_path / "search" / "tuned.toml"),
        "is_better": False,
        "settings": [],
        "difference": None,
        "n_trials": 1,
        "page": str(tmp_path / "search" / "tuning.md"),
    }


def test_runs(artifacts: Path, tiny_run: Path) -> None:
    name, where = tiny_run.name, ("--artifacts", artifacts)
    assert answer("runs", "verify", *where) == [{"name": name, "is_whole": True, "damage": None}]
    assert answer("runs", "prune", "--keep", 1, "--dry-run", *where) == {"is_removed": False, "runs": []}
    assert answer("runs", "show", *where) == json.loads((tiny_run / "manifest.json").read_text())
    assert [run["name"] for run in answer("runs", "list", *where)] == [name]
    assert answer("runs", "diff", name, *where) == {}
    _, later = second_run(artifacts)
    assert answer("runs", "rollback", later, *where) == {"run": later, "before": name}
    assert answer("runs", "rollback", *where) == {"run": name, "before": later}
    shutil.rmtree(artifacts / later)
    path = artifacts / name / "serving" / "sources.json"
    path.chmod(0o644)
    path.write_text("{}")
    [damaged] = answer("runs", "verify", *where, code=2)
    assert damaged["is_whole"] is False
    assert "sources.json" in damaged["damage"]


def test_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    told = answer("doctor")
    assert {"name": "python", "status": "ok"}.items() <= told[1].items()
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    assert "fail" in {check["status"] for check in answer("doctor", code=1)}


def test_what_cannot_be_said_is_null_and_signs_of_strangers_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"title": "\x1b[31m\u202e\x85\x7f Amélie", "figure": float("nan"), "rows": [float("inf"), 1.5]}
    print_json(found)
    said = capsys.readouterr().out
    assert said.isascii()
    assert not set(said) & {"\x1b", "\x7f"}
    assert json.loads(said) == {**found, "figure": None, "rows": [None, 1.5]}


def test_an_error_stays_words_on_stderr(tmp_path: Path) -> None:
    from belfry.dataset.errors import InputError

    done = CliRunner().invoke(app, ["runs", "list", "--artifacts", str(tmp_path), "--json"])
    assert done.stdout == ""
    assert isinstance(done.exception, InputError)
