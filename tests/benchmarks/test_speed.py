"""The benchmark of speed: what a process used, what a run needs, the peers' lists, and a page of what was measured."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from belfry.dataset.sources.demo import generate
from belfry.layers.saved.files import load_arrays
from belfry.pipeline.runs.data.tables import load_tables
from benchmarks.speed.cases import Case, write_case
from benchmarks.speed.contestants import CONTESTANTS, LISTS
from benchmarks.speed.floor import Run, last_stage_work, table_work
from benchmarks.speed.measure import Answers, Measured, Results
from benchmarks.speed.page import page
from benchmarks.speed.process import Usage, run

MACHINE = {"flops": 1e11, "lookups": 1e9, "bytes": 1e10}
BUSY = "import time, json\nwhile time.process_time() < {}: pass\nprint(json.dumps({{'n_users': 3}}))"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True); print('no JSON')"


def test_a_process_and_its_children_count() -> None:
    used = run(["-c", BUSY.format(0.3)])
    assert used.told == {"n_users": 3}
    assert used.cpu_s >= 0.3
    assert used.wall_s > 0
    assert 5 < used.peak_mib < 50  # not that of this process
    used = run(["-c", PARENT, BUSY.format(0.4)])
    assert used.told == {}
    assert used.cpu_s >= 0.4
    with pytest.raises(subprocess.CalledProcessError):
        run(["-c", "raise SystemExit(2)"])


def test_the_floor_counts_what_a_run_holds(tiny_run: Path) -> None:
    opened = Run.open(tiny_run)
    needs = {need.what: need for need in table_work(opened)}
    length, k = opened.n_events / opened.n_users, opened.n_candidates
    (search,) = (need for what, need in needs.items() if what.endswith("query and search"))
    (vectors,) = tiny_run.glob("serving/sources/*/vectors.npy")
    dim = np.load(vectors).shape[1]
    assert search.flops == pytest.approx(2 * (length + opened.n_items) * dim)
    tables = opened.pair_tables
    read = dict.fromkeys(("cosine", "bm25", "rules"), min(length, 32)) | {"next": 1, "cooccurrence": length}
    assert opened.neighbours.keys() == read.keys()
    neighbours = sum(n * opened.neighbours[group][0] for group, n in read.items())
    assert needs["pair features: neighbours"].lookups == pytest.approx(neighbours)
    watched = load_tables(tiny_run)[0].history.item_num
    arrays = load_arrays(tiny_run / "serving" / "ranker" / "pair_features")
    table = arrays["neighbours/tables"].tolist().index("rules")
    starts = arrays["neighbours/start"][table * (opened.n_items + 1) :]
    of_each = [starts[item + 1] - starts[item] for item in watched]
    assert opened.neighbours["rules"] == (pytest.approx(np.mean(of_each)), 32)
    assert needs["pair features: counts by time"].lookups == 6 * k
    widths = [
        tables[name][1]
        for name in ("singular_vectors/factors", "ease_by_rating/liked.factors", "ease_by_rating/disliked.factors")
    ]
    assert needs["pair features: factors of items"].bytes == pytest.approx(4 * (length + k) * sum(widths))
    (network,) = (need for what, need in needs.items() if what.startswith("network of"))
    n_weights = int(network.what.split()[2].replace(",", ""))
    assert network.flops == 2 * k * n_weights > 0
    assert sum(need.seconds(MACHINE) for need in needs.values()) > 0
    assert all(need.seconds(MACHINE) > 0 for need in last_stage_work(opened))


@pytest.fixture(scope="module")
def small_case(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("case")
    case = Case("Generated", lambda _: generate(n_users=150, n_items=120, n_watches=4_000, seed=1), "random")
    return write_case(case, folder, None)


@pytest.mark.parametrize("name", ["ease-lightgbm", "als"])
def test_peers_write_the_best_unseen_items(small_case, tmp_path: Path, name: str) -> None:
    (peer,) = (one for one in CONTESTANTS if one.name == name)
    run(peer.train(small_case, tmp_path / "model", 0))
    used = run(peer.table(small_case, tmp_path / "model", tmp_path / "lists", 10))
    train, lists = pq.read_table(small_case.train), pq.read_table(tmp_path / "lists" / LISTS)
    assert used.told["n_users"] == len(set(train["user_id"].to_pylist())) == len(set(lists["user_id"].to_pylist()))
    assert 0 < used.told["inside_cpu_s"] < used.cpu_s
    pairs = set(zip(lists["user_id"].to_pylist(), lists["item_id"].to_pylist(), strict=True))
    assert len(pairs) == len(lists) == 10 * used.told["n_users"]
    assert not pairs & set(zip(train["user_id"].to_pylist(), train["item_id"].to_pylist(), strict=True))
    assert small_case.ndcg(tmp_path / "lists" / LISTS) > 0


def test_ids_of_a_peer_are_read_as_those_of_the_train_part(small_case, tmp_path: Path) -> None:
    right = (
        pq.read_table(small_case.train.with_name("test.parquet")).to_pandas().drop_duplicates(["user_id", "item_id"])
    )
    right["rank"] = (right.groupby("user_id").cumcount() + 1).astype("int32")
    texts = right[["user_id", "item_id", "rank"]].astype({"user_id": str, "item_id": str})
    texts.to_parquet(tmp_path / "right.parquet", index=False)
    assert small_case.ndcg(tmp_path / "right.parquet") == pytest.approx(1)


def measured(cpu_s: float, table_s: float, ndcg: float) -> Measured:
    train = Usage(cpu_s, cpu_s, 300, {})
    return Measured(train, Usage(table_s, table_s, 200, {"n_users": 1000, "inside_cpu_s": table_s / 2}), ndcg)


def test_the_page_compares_within_repeats(tiny_run: Path) -> None:
    results = Results(
        "100k",
        contestants={
            "belfry": [measured(60, 1.0, 0.45), measured(90, 2.0, 0.44)],
            "ease-lightgbm": [measured(15, 0.5, 0.44), measured(30, 2.0, 0.44)],
        },
        workers={1: [Usage(4, 4, 1, {})] * 2, 2: [Usage(4.4, 2, 1, {})] * 2},
        answers=Answers(0.5, 2.0, 0.4, [Usage(0.4, 0.5, 200, {})]),
        run=Run.open(tiny_run),
        machine=MACHINE,
    )
    text = page([results], command="make benchmark-speed", n=100)
    assert "| Belfry, default | 0.4450 (0.4400 to 0.4500) | 75.0 (60.0 to 90.0) | 3.50 (3.00 to 4.00) |" in text
    assert "EASE + LightGBM, 200 candidates: 0.75 (0.50 to 1.00) times its users per CPU second" in text
    assert "NDCG@10 +0.0050 (+0.0000 to +0.0100)" in text
    assert "2.00 (2.00 to 2.00) times as fast by the clock" in text
    assert "of it is the floor" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith(("| Belfry, default", "| EASE"))}
    assert len(widths) == 1
    without = page([Results("100k", {"belfry": [measured(60, 1.0, 0.45)]})], command="x", n=100)
    assert "has no `--workers`" in without


def test_arguments_are_checked() -> None:
    command = [sys.executable, "-m", "benchmarks.speed", "--cases", "100k,nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing: known are 100k, 1m, beauty" in done.stderr
