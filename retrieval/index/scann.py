"""ScannIndex: ScaNN's own searcher over NumPy vectors, without TensorFlow and without its pickles."""

import importlib
import importlib.util
import logging
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from belfry.dataset.errors import ArtifactError
from belfry.dataset.vocabulary import ItemNums
from belfry.retrieval.index.base import Found, Vectors, check_queries, check_vectors, no_results
from belfry.retrieval.index.config import Effort
from belfry.retrieval.index.files import ITEM_NUM, check_kind, new_folder, read_manifest, write_manifest

log = logging.getLogger(__name__)

Mode: TypeAlias = Literal["brute_force", "quantised", "tree"]

# ScaNN's own rule of thumb, docs/algorithms.md of its repository.
QUANTISED_FROM = 20_000
TREE_FROM = 100_000

_RESCORED = 10  # per result, where nothing was measured
MIN_RESCORED = 250  # a short list needs more for each result, and they cost next to nothing

DATASET = "dataset.npy"  # the vectors themselves, float32, in every mode
_ASSETS = "scann_assets.pbtxt"
_BRUTE_FORCE_FILES = frozenset({ITEM_NUM, DATASET, _ASSETS, "scann_config.pb"})
_QUANTISED_FILES = _BRUTE_FORCE_FILES | {"ah_codebook.pb", "hashed_dataset.npy"}
_FILES: dict[str, frozenset[str]] = {
    "brute_force": _BRUTE_FORCE_FILES,
    "quantised": _QUANTISED_FILES,
    "tree": _QUANTISED_FILES | {"datapoint_to_token.npy", "serialized_partitioner.pb"},
}


class ScannIndex:
    """Approximate above 20k items, where an `Effort` trades time for recall.

    Builds are repeatable: with k-means++ as the start, and ScaNN's fixed seeds, equal vectors give equal files. (Its
    default, a random start, differs from build to build.)
    """

    def __init__(self, searcher: Any, item_num: ItemNums, dim: int, mode: str, effort: Effort | None = None) -> None:
        """Takes a searcher over vectors in the order of `item_num`; use `build` or `load`.

        Without an effort a tree opens all leaves.
        """
        self._searcher = searcher
        self._item_num = item_num
        self._dim = dim
        self._effort = effort or Effort(leaves=_n_leaves(len(item_num)), rescored_per_result=_RESCORED)
        self.mode = mode

    def __len__(self) -> int:
        return len(self._item_num)

    @property
    def is_exact(self) -> bool:
        return self.mode == "brute_force"

    @property
    def n_leaves(self) -> int:
        """Of a tree; 1 where all items are searched."""
        return _n_leaves(len(self)) if self.mode == "tree" else 1

    def with_effort(self, effort: Effort) -> Self:
        """The same index, looking as hard as this."""
        return type(self)(self._searcher, self._item_num, self._dim, self.mode, effort)

    @classmethod
    def build(cls, vectors: Vectors, item_num: ItemNums) -> Self:
        vectors, item_num = check_vectors(vectors, item_num)
        n_items, dim = vectors.shape
        mode = pick_mode(n_items)
        builder = load_scann().builder(vectors, 1, "dot_product")  # how many neighbours, each search says
        if mode == "tree":
            n_leaves = _n_leaves(n_items)
            builder = builder.tree(n_leaves, n_leaves, random_init=False)
        if mode == "brute_force":
            builder = builder.score_brute_force()
        else:
            builder = builder.score_ah(min(2, dim), anisotropic_quantization_threshold=0.2).reorder(1)
        return cls(builder.build(), item_num, dim, mode)

    def search(self, queries: Vectors, top_k: int) -> Found:
        queries = check_queries(queries, self._dim, top_k)
        item_num, score = no_results(len(queries), top_k)
        if len(queries) == 0:
            return item_num, score
        n_found = min(top_k, len(self))
        options = {"final_num_neighbors": n_found}
        if self.mode != "brute_force":
            n_rescored = max(n_found * self._effort.rescored_per_result, MIN_RESCORED)
            options["pre_reorder_num_neighbors"] = min(n_rescored, len(self))
        if self.mode == "tree":
            options["leaves_to_search"] = min(self._effort.leaves, self.n_leaves)
        positions, found = self._searcher.search_batched(queries, **options)
        short = np.isnan(found[:, -1])  # ScaNN pads with NaN where the opened leaves hold too few
        if short.any():
            options["leaves_to_search"] = self.n_leaves
            positions[short], found[short] = self._searcher.search_batched(queries[short], **options)
        item_num[:, :n_found] = self._item_num[positions]
        score[:, :n_found] = found + np.float32(0)  # ScaNN negates distances: no -0.0
        return item_num, score

    def save(self, directory: Path) -> None:
        new_folder(directory)
        self._searcher.serialize(str(directory), relative_path=True)
        np.save(directory / ITEM_NUM, self._item_num)
        write_manifest(directory, kind="scann", mode=self.mode, n_items=len(self), dim=self._dim, effort=self._effort)

    @classmethod
    def load(cls, directory: Path) -> Self:
        manifest = read_manifest(directory)
        check_kind(directory, manifest, "scann", _FILES.get(manifest.mode, frozenset()))
        pybind = load_scann()
        # Not pybind.load_searcher(): that one would unpickle a scann_docids.pkl.
        try:
            native = pybind.scann_pybind.ScannNumpy(str(directory), (directory / _ASSETS).read_text())
        except RuntimeError as error:
            raise ArtifactError(f"index: ScaNN cannot read {directory}: {error}") from error
        item_num = np.load(directory / ITEM_NUM)
        return cls(pybind.ScannSearcher(native), item_num, manifest.dim, manifest.mode, manifest.effort)


def pick_mode(n_items: int) -> Mode:
    """How ScaNN searches this many items; the reason goes to the log."""
    if n_items < QUANTISED_FROM:
        mode: Mode = "brute_force"
        reason = f"fewer than {QUANTISED_FROM:,}: computing every score is fast enough"
    elif n_items < TREE_FROM:
        mode = "quantised"
        reason = f"fewer than {TREE_FROM:,}: quantised scores, the best computed again"
    else:
        mode = "tree"
        reason = f"{_n_leaves(n_items)} leaves, quantised scores, the best computed again"
    log.info("ScaNN index of %d items: %s (%s)", n_items, mode, reason)
    return mode


def _n_leaves(n_items: int) -> int:
    return round(sqrt(n_items))


def scann_problem() -> str | None:
    """Why ScaNN cannot be used here, in one line; None where it can."""
    if importlib.util.find_spec("scann") is None:
        return "scann is not installed (it has wheels for Linux only)"
    missing = _missing_cpu_flags()
    if missing:  # importing it would end the process with SIGILL
        return f"this CPU lacks {' and '.join(missing)}, which scann's wheel needs"
    try:
        load_scann()
    except Exception as error:  # a wheel that does not fit raises whatever its loader does
        return f"scann does not load: {str(error).splitlines()[0]}"
    return None


def load_scann() -> ModuleType:
    """`scann_ops_pybind`, imported without TensorFlow: a quarter of a second, not seven, and any TensorFlow will do.

    ScaNN imports TensorFlow for its TensorFlow ops if it can. Its wheel fits one TensorFlow version only, and we do
    not use those ops.
    """
    with _tensorflow_hidden():
        return importlib.import_module("scann.scann_ops.py.scann_ops_pybind")


@contextmanager
def _tensorflow_hidden() -> Iterator[None]:
    """`import tensorflow` raises ModuleNotFoundError meanwhile; what was imported before is put back untouched."""
    if "scann" in sys.modules:
        yield
        return
    missing = object()
    before = sys.modules.get("tensorflow", missing)
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is missing:
            del sys.modules["tensorflow"]
        else:
            sys.modules["tensorflow"] = before  # type: ignore[assignment]


def _missing_cpu_flags() -> list[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpuinfo.exists():
        return []
    flags = next((line.split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    return [flag for flag in ("avx", "fma") if flag not in flags]
