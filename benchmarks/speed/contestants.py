"""Who is measured: for each a command that trains and one that writes the table of all users."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from benchmarks.speed.cases import CaseFiles
from benchmarks.speed.process import ROOT

PEERS = ROOT / "benchmarks" / "peers"
TFRS_EPOCHS = 10  # as the report trains them

Command: TypeAlias = list[str | Path]  # arguments of Python


@dataclass(frozen=True)
class Contestant:
    """`train` puts a model into a folder that is not there yet, `table` reads it and writes lists into another."""

    name: str
    title: str
    train: Callable[[CaseFiles, Path, int], Command]  # files, folder of the model, seed
    table: Callable[[CaseFiles, Path, Path, int], Command]  # files, folder of the model, folder of the lists, n
    cases: tuple[str, ...] = ("100k", "1m", "beauty")


LISTS = "recommendations.parquet"


def _belfry(*settings: str) -> Callable[[CaseFiles, Path, int], Command]:
    def train(files: CaseFiles, model: Path, seed: int) -> Command:
        command: Command = ["-m", "belfry", "train", "--interactions", files.train, "--holdout", files.holdout]
        for option, table in files.features.items():
            command += [option, table]
        for setting in settings:
            command += ["--set", setting]
        return [*command, "--seed", str(seed), "--artifacts", model, "--quiet"]

    return train


def _belfry_table(files: CaseFiles, model: Path, lists: Path, n: int) -> Command:
    return ["-m", "benchmarks.speed.child", "table", model, lists, "-n", str(n)]


def belfry_batch(model: Path, lists: Path, n: int, workers: int) -> Command:
    """The verb itself."""
    command: Command = ["-m", "belfry", "batch", "--artifacts", model, "--out", lists, "-n", str(n), "--quiet"]
    return [*command, "--workers", str(workers)]


def _script(name: str, *, tells_holdout: bool = False) -> tuple[Callable[..., Command], Callable[..., Command]]:
    def train(files: CaseFiles, model: Path, seed: int) -> Command:
        holdout = ["--holdout", files.holdout] if tells_holdout else []
        return [PEERS / name, "train", files.train, model, "--seed", str(seed), *holdout]

    def table(files: CaseFiles, model: Path, lists: Path, n: int) -> Command:
        lists.mkdir()
        return [PEERS / name, "table", files.train, model, lists / LISTS, "-n", str(n)]

    return train, table


def _train_tfrs(files: CaseFiles, model: Path, seed: int) -> Command:
    script = PEERS / "tfrs_two_tower.py"
    return [script, files.watches, "--epochs", str(TFRS_EPOCHS), "--no-metrics", "--model", model]


def _table_tfrs(files: CaseFiles, model: Path, lists: Path, n: int) -> Command:
    lists.mkdir()
    script = PEERS / "tfrs_two_tower.py"
    return [script, files.watches, "--epochs", "0", "--model", model, "--lists", lists / LISTS, "-n", str(n)]


BELFRY: Literal["belfry"] = "belfry"
TREES: Literal["belfry-trees"] = "belfry-trees"
PEER: Literal["ease-lightgbm"] = "ease-lightgbm"  # what ratios refer to

CONTESTANTS = (
    Contestant(BELFRY, "Belfry, default", _belfry(), _belfry_table),
    Contestant(TREES, "Belfry, `ranker.kind=lightgbm`", _belfry("ranker.kind=lightgbm"), _belfry_table),
    Contestant(PEER, "EASE + LightGBM, 200 candidates", *_script("ease_lightgbm.py", tells_holdout=True)),
    Contestant("als", "implicit ALS", *_script("implicit_als.py")),
    Contestant("tfrs", "TensorFlow Recommenders, two towers", _train_tfrs, _table_tfrs, cases=("100k",)),
)
