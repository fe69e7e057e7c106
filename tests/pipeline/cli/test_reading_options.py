"""`--columns`, `--delimiter` and `--encoding` of the verbs that read tables of others."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import belfry
from belfry.dataset.errors import InputError
from belfry.pipeline.cli.commands import app

LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]")
NAMES = {"user_id": "userId", "item_id": "movieId", "rating": "stars"}
COLUMNS = "user_id=userId,item_id=movieId,rating=stars"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    cells = rng.permutation(20 * 12)[:120]
    return pd.DataFrame({"userId": cells // 12, "movieId": cells % 12 + 100, "stars": rng.integers(1, 6, 120)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, events: pd.DataFrame) -> Path:
    """The events in two parts, as text of others; and a run trained on the first."""
    folder = tmp_path_factory.mktemp("others")
    events[:100].to_csv(folder / "before.txt", index=False, sep="^")
    events[100:].to_csv(folder / "later.txt", index=False, sep="^")
    (folder / "films.txt").write_text(
        "movieId^title\n" + "".join(f"{k}^Müller {k}\n" for k in range(100, 112)), "cp1252"
    )
    settings = [part for setting in LIGHT for part in ("--set", setting)]
    done = call(
        *("train", "--quiet", "--interactions", folder / "before.txt", "--items", folder / "films.txt"),
        *("--columns", COLUMNS, "--delimiter", "^", "--encoding", "cp1252", "--artifacts", folder / "a", *settings),
    )
    assert done.exit_code == 0, (done.output, done.exception)
    return folder


def test_a_run_is_trained_on_tables_of_others(folder: Path) -> None:
    run = belfry.Recommender.load(folder / "a")
    assert run.recommend(0, 3)[0].title.startswith("Müller 1")  # type: ignore[union-attr]  # every item has one


def test_batch_evaluate_and_compare_read_them_too(folder: Path) -> None:
    of_file = ("--columns", COLUMNS, "--delimiter", "^")
    (folder / "who.txt").write_text("userId^x\n3^1\n5^1\n")
    done = call("batch", "--artifacts", folder / "a", "--users", folder / "who.txt", "--out", folder / "lists",
                "--quiet", "--columns", "user_id=userId", "--delimiter", "^")  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    assert set(pd.read_parquet(folder / "lists")["user_id"]) == {3, 5}
    done = call("evaluate", "--artifacts", folder / "a", "--test", folder / "later.txt", *of_file)
    assert done.exit_code == 0, (done.output, done.exception)
    lists = pd.DataFrame({"userId": np.repeat(range(20), 2), "movieId": [100, 101] * 20, "rank": [1, 2] * 20})
    lists.to_csv(folder / "one.csv", index=False)
    lists.to_parquet(folder / "two.parquet", index=False)
    parts = ("--train", folder / "before.txt", "--test", folder / "later.txt", *of_file, "--repeats", "allow")
    done = call("evaluate", "--recommendations", folder / "one.csv", *parts, "--out", folder / "e")
    assert done.exit_code == 0, (done.output, done.exception)
    systems = folder / "one.csv", folder / "two.parquet"
    done = call("compare", *systems, *parts, "--out", folder / "c", "--quiet")
    assert done.exit_code == 0, (done.output, done.exception)


def test_users_without_a_header_or_under_another_name(folder: Path) -> None:
    (folder / "none.txt").write_text("1\n2\n3\n")
    batch = ("batch", "--artifacts", folder / "a", "--out", folder / "never", "--quiet", "--users")
    assert "line 1 holds values ('1'), and not the names" in str(call(*batch, folder / "none.txt").exception)
    done = call(*batch, folder / "who.txt", "--delimiter", "^")
    assert "rename 'userId' to 'user_id', or pass --columns user_id=userId" in str(done.exception)
    assert not (folder / "never").exists()


def test_train_and_compare_in_python(events: pd.DataFrame, tmp_path: Path) -> None:
    run = belfry.train(events, columns=NAMES, settings=LIGHT, artifacts=tmp_path)
    assert len(run.recommend(0, 3)) == 3
    with pytest.raises(InputError, match="columns user_id=who: no table has 'who'; interactions has 'userId'"):
        belfry.train(events, columns={"user_id": "who"}, settings=LIGHT, artifacts=tmp_path)
    with pytest.raises(InputError, match="encoding 'klingon': is not known"):
        belfry.train(events, encoding="klingon", settings=LIGHT, artifacts=tmp_path)


def test_run_reads_a_zip_of_tables(folder: Path, events: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "others.zip"
    events.to_csv(path, index=False, compression={"method": "zip", "archive_name": "log.csv"})
    settings = [part for setting in LIGHT for part in ("--set", setting)]
    done = call("run", "--data", path, "--columns", COLUMNS, "--artifacts", tmp_path / "a", "--quiet", *settings)
    assert done.exit_code == 0, (done.output, done.exception)
