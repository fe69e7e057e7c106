import builtins
import hashlib
import io
import json
import logging
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL, c_bool
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError, InputError
from belfry.retrieval.index import choose, scann, scann_library
from belfry.retrieval.index.base import CandidateIndex
from belfry.retrieval.index.choose import build_index, load_index
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.index.files import read_manifest
from belfry.retrieval.index.measure import measure_index
from belfry.retrieval.index.scann import ScannIndex, pick_mode
from belfry.retrieval.index.scann_library import scann_problem
from tests.contracts.index import IndexPromises, embeddings, numbers

needs_scann = pytest.mark.skipif(scann_problem() is not None, reason=str(scann_problem()))

RECALL_FLOOR = 0.95  # of the exact top 100, on embeddings like those of towers


class TestExactPromises(IndexPromises):
    kind = ExactIndex


@needs_scann
class TestScannPromises(IndexPromises):
    kind = ScannIndex


@needs_scann
class TestQuantisedPromises(TestScannPromises):
    @pytest.fixture(autouse=True)
    def small_thresholds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scann, "QUANTISED_FROM", 100)


@needs_scann
class TestTreePromises(TestScannPromises):
    kind = ScannIndex  # opens every leaf where nothing was measured

    @pytest.fixture(autouse=True)
    def small_thresholds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scann, "QUANTISED_FROM", 50)
        monkeypatch.setattr(scann, "TREE_FROM", 100)


def test_equal_scores_come_by_item_number() -> None:
    index = ExactIndex.build(np.ones((50, 4), np.float32), np.arange(50, 0, -1))
    for top_k in (1, 7, 49, 50):
        assert index.search(np.ones((1, 4), np.float32), top_k)[0][0].tolist() == list(range(1, top_k + 1))


@needs_scann
@pytest.mark.parametrize(
    ("n_items", "mode"), [(1, "brute_force"), (19_999, "brute_force"), (20_000, "quantised"), (99_999, "quantised")]
)
def test_mode_follows_the_size_and_is_logged(n_items: int, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert pick_mode(n_items) == mode
    assert f"ScaNN index of {n_items} items: {mode} (" in caplog.text


def check_large_index(n_items: int, mode: str) -> None:
    vectors, queries = embeddings(n_items, dim=32), embeddings(200, seed=1, dim=32)
    exact = ExactIndex.build(vectors, numbers(n_items))
    index = ScannIndex.build(vectors, numbers(n_items))
    assert (index.mode, index.is_exact) == (mode, False)
    for top_k in (10, 100):
        measured = measure_index(index, exact, queries, top_k)
        assert measured.recall >= RECALL_FLOOR, measured
    item_num, score = index.search(queries[:2], n_items + 5)
    assert sorted(item_num[0, :n_items]) == list(range(1, n_items + 1))
    assert (score[:, n_items:] == -np.inf).all()
    assert (index.search(queries, 20)[0] == ScannIndex.build(vectors, numbers(n_items)).search(queries, 20)[0]).all()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: index.search(queries[row : row + 1], 20)[0][0], range(len(queries))))
    assert (np.stack(found) == index.search(queries, 20)[0]).all()


@needs_scann
def test_20_thousand_items() -> None:
    check_large_index(20_000, "quantised")


@needs_scann
@pytest.mark.slow
def test_100_thousand_items() -> None:
    check_large_index(100_000, "tree")


@needs_scann
@pytest.mark.parametrize(("quantised_from", "tree_from"), [(100, 10_000), (50, 100)])
def test_an_index_looks_as_hard_as_its_target_asks_for(
    quantised_from: int, tree_from: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scann, "QUANTISED_FROM", quantised_from)
    monkeypatch.setattr(scann, "TREE_FROM", tree_from)
    vectors, queries = embeddings(4000, dim=32), embeddings(300, seed=1, dim=32)
    exact = ExactIndex.build(vectors, numbers(4000))
    efforts = []
    for target in (0.5, 0.9, 0.99):
        build_index(vectors, numbers(4000), IndexConfig(recall_target=target), queries).save(tmp_path / f"{target}")
        index = load_index(tmp_path / f"{target}", vectors, numbers(4000))
        assert measure_index(index, exact, queries, 200).recall >= target
        effort = read_manifest(tmp_path / f"{target}").effort
        efforts.append((effort.leaves, effort.rescored_per_result))
    assert efforts == sorted(efforts)
    assert efforts[0] < efforts[-1]


def test_the_index_of_a_source_without_weight_need_not_look_as_hard_unless_it_is_told() -> None:
    usual, told = IndexConfig(), IndexConfig(recall_target=0.97)
    assert [usual.for_weight(weight).target for weight in (None, 1.0, 0.1, 0.0)] == [0.99, 0.99, 0.99, 0.9]
    assert [told.for_weight(weight).target for weight in (None, 1.0, 0.0)] == [0.97] * 3


@needs_scann
def test_degenerate_vectors_survive_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scann, "QUANTISED_FROM", 10)
    monkeypatch.setattr(scann, "TREE_FROM", 16)
    for vectors in (np.zeros((500, 3), np.float32), np.ones((500, 1), np.float32), embeddings(16)):
        item_num, _ = ScannIndex.build(vectors, numbers(len(vectors))).search(vectors[:2], len(vectors))
        assert sorted(item_num[0]) == list(range(1, len(vectors) + 1))


N_SAVED = 120
VECTORS = embeddings(N_SAVED)


def saved(kind: str, directory: Path) -> Path:
    build_index(VECTORS, numbers(N_SAVED), IndexConfig(kind=kind), embeddings(5)).save(directory)
    return directory


def load(directory: Path) -> CandidateIndex:
    return load_index(directory, VECTORS, numbers(N_SAVED))


KINDS = ["exact", pytest.param("scann", marks=needs_scann)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an index that only ScaNN can make."""
    monkeypatch.setattr(scann, "QUANTISED_FROM", 50)
    monkeypatch.setattr(scann, "TREE_FROM", 100)
    return saved("scann", tmp_path / "tree")


@pytest.mark.parametrize("kind", KINDS)
def test_load_index_knows_the_kind(kind: str, tmp_path: Path) -> None:
    assert type(load(saved(kind, tmp_path / "index"))) is (ExactIndex if kind == "exact" else ScannIndex)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_not_written_again(kind: str, tmp_path: Path) -> None:
    assert [path.name for path in saved(kind, tmp_path / "index").iterdir()] == ["index.json"]


@needs_scann
def test_each_file_deleted_or_cut_is_refused_by_name(tree: Path) -> None:
    paths = sorted(tree.iterdir())
    assert [path.name for path in paths] == [
        "ah_codebook.pb",
        "datapoint_to_token.npy",
        "hashed_dataset.npy",
        "index.json",
        "scann_config.pb",
        "serialized_partitioner.pb",
    ]
    for path in paths:
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(ArtifactError, match=rf"{path.name} is missing; build the index again"):
            load(tree)
        for damaged in (content[: len(content) // 2], b"", content[:-1] + bytes([content[-1] ^ 1])):
            path.write_bytes(damaged)
            with pytest.raises(ArtifactError, match=rf"{path.name}(: Invalid JSON| is damaged)"):
                load(tree)
        path.write_bytes(content)
    load(tree)


def reseal(directory: Path, name: str, content: bytes) -> None:
    """Write content with whole hashes, as an attacker would."""
    (directory / name).write_bytes(content)
    manifest = json.loads((directory / "index.json").read_text())
    manifest["hashes"][name] = hashlib.sha256(content).hexdigest()
    (directory / "index.json").write_text(json.dumps(manifest))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@needs_scann
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scann_config.pb", b"\x0a\x0b/etc/passwd"),
        ("scann_config.pb", b"\x12\x06\x0a\x04file"),
        ("scann_config.pb", b"\xff" * 9),
        ("datapoint_to_token.npy", npy(np.full(N_SAVED, 1 << 30, np.int32))),
        ("datapoint_to_token.npy", npy(np.full(N_SAVED, -1, np.int32))),
        ("datapoint_to_token.npy", npy(np.zeros(3, np.int32))),
        ("hashed_dataset.npy", npy(np.zeros((3, 3), np.uint8))),
        ("hashed_dataset.npy", b"no array"),
        ("serialized_partitioner.pb", b"\xff" * 99),
        ("ah_codebook.pb", b"\xff" * 99),
    ],
)
def test_hostile_content_with_whole_hashes_is_refused(tree: Path, name: str, content: bytes) -> None:
    reseal(tree, name, content)
    with pytest.raises(ArtifactError, match=r"tree"):
        load(tree)


class Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return builtins.open, (str(self.canary), "w")


@needs_scann
def test_files_of_others_are_never_opened(tree: Path, tmp_path: Path) -> None:
    canary, elsewhere = tmp_path / "canary", tmp_path / "dataset.npy"
    (tree / "scann_docids.pkl").write_bytes(pickle.dumps(Payload(canary)))
    (tree / "scann_assets.pbtxt").write_text(f'assets {{ asset_type: DATASET_NPY asset_path: "{elsewhere}" }}')
    load(tree)
    assert not canary.exists()
    reseal(tree, "scann_docids.pkl", b"")
    with pytest.raises(ArtifactError, match=r"holds .*scann_docids\.pkl"):
        load(tree)


@needs_scann
def test_without_scann_its_index_is_searched_exactly(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queries = embeddings(3, seed=1)
    wanted = ExactIndex.build(VECTORS, numbers(N_SAVED)).search(queries, 5)[0]
    monkeypatch.setattr(choose, "scann_problem", lambda: "scann is not installed")
    index = load(tree)
    assert isinstance(index, ExactIndex)
    assert (index.search(queries, 5)[0] == wanted).all()
    assert "exact index instead of ScaNN: scann is not installed" in caplog.text


def test_scann_is_optional_unless_asked_for(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(choose, "scann_problem", lambda: "this CPU lacks avx")
    assert isinstance(build_index(embeddings(9), numbers(9), IndexConfig(), embeddings(5)), ExactIndex)
    assert "exact index instead of ScaNN: this CPU lacks avx" in caplog.text
    with pytest.raises(InputError, match="this CPU lacks avx; set kind to 'auto' or 'exact'"):
        build_index(embeddings(9), numbers(9), IndexConfig(kind="scann"), embeddings(5))


def test_problems_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scann_library.importlib.util, "find_spec", lambda name: object())

    def fail() -> None:
        raise RuntimeError("undefined symbol: _ZN10tensorflow\nand more")

    monkeypatch.setattr(scann_library, "load_scann", fail)
    monkeypatch.setattr(scann_library, "_missing_cpu_flags", lambda *wanted: [])
    assert scann_problem() == "scann does not load: undefined symbol: _ZN10tensorflow"
    monkeypatch.setattr(scann_library, "_missing_cpu_flags", lambda *wanted: list(wanted))
    assert scann_problem() == "this CPU lacks avx and fma, which scann's wheel needs"
    monkeypatch.setattr(scann_library.importlib.util, "find_spec", lambda name: None)
    assert scann_problem() == "scann is not installed (it has wheels for Linux only)"


@needs_scann
def test_scann_loads_without_tensorflow_and_leaves_the_way_free_for_it() -> None:
    code = (
        "import sys; from belfry.retrieval.index.choose import build_index; assert 'scann' not in sys.modules;"
        "from belfry.retrieval.index.scann_library import load_scann; load_scann();"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@needs_scann
@pytest.mark.parametrize("has_avx2", [True, False])
def test_scann_is_told_of_avx2_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch, has_avx2: bool) -> None:
    library = scann_library.load_scann()
    switch = c_bool.in_dll(CDLL(library.scann_pybind.__file__), scann_library._AVX2_SWITCH)
    before = switch.value
    monkeypatch.setattr(scann_library, "_missing_cpu_flags", lambda *wanted: [] if has_avx2 else list(wanted))
    try:
        switch.value = False
        scann_library._use_avx2(library)
        assert switch.value == has_avx2
        monkeypatch.setattr(scann_library, "_AVX2_SWITCH", "of_another_version")
        scann_library._use_avx2(library)
        assert switch.value == has_avx2
    finally:
        switch.value = before


def test_measurement_of_the_oracle_itself() -> None:
    exact = ExactIndex.build(np.ones((30, 4), np.float32), numbers(30))
    measured = measure_index(exact, exact, np.ones((5, 4), np.float32), 100)
    assert (measured.mode, measured.n_items, measured.n_queries, measured.top_k) == ("exact", 30, 5, 30)
    assert measured.recall == 1
    assert 0 < measured.p50_latency_ms <= measured.p95_latency_ms
    assert str(measured).startswith("exact, 30 items: recall@30 1.0000 against exact search, p50 ")
