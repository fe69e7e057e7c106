"""ScannIndex: ScaNN's own searcher over NumPy vectors, without TensorFlow and without its pickles."""

import logging
import tempfile
from math import sqrt
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from belfry.dataset.errors import ArtifactError
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.saved.files import ReadablePath, parse_array
from belfry.layers.saved.protobuf import BYTES, fields
from belfry.retrieval.index.base import Found, Vectors, check_queries, check_vectors, no_results
from belfry.retrieval.index.config import Effort
from belfry.retrieval.index.files import check_fits, new_folder, read_files, read_manifest, write_manifest
from belfry.retrieval.index.scann_library import load_scann

log = logging.getLogger(__name__)

Mode: TypeAlias = Literal["brute_force", "quantised", "tree"]

# ScaNN's own rule of thumb, docs/algorithms.md of its repository.
QUANTISED_FROM = 20_000
TREE_FROM = 100_000

_RESCORED = 10  # per result, where nothing was measured
MIN_RESCORED = 250  # a short list needs more for each result, and they cost next to nothing

_CONFIG, _CODEBOOK, _HASHED = "scann_config.pb", "ah_codebook.pb", "hashed_dataset.npy"
_TOKENS, _PARTITIONER = "datapoint_to_token.npy", "serialized_partitioner.pb"
_DATASET, _ASSETS = "dataset.npy", "scann_assets.pbtxt"  # which are made anew for a library that reads files
# By mode, the files that only ScaNN can make, and what each is in a list of assets. Brute force needs none.
_FILES: dict[str, dict[str, str]] = {
    "brute_force": {},
    "quantised": {_CONFIG: "", _CODEBOOK: "AH_CENTERS", _HASHED: "AH_DATASET_NPY"},
    "tree": {
        _CONFIG: "",
        _CODEBOOK: "AH_CENTERS",
        _PARTITIONER: "PARTITIONER",
        _TOKENS: "TOKENIZATION_NPY",
        _HASHED: "AH_DATASET_NPY",
    },
}
_TEXTS = frozenset({b"DotProductDistance", b"SquaredL2Distance"})  # in a config of ours; a name of a file is none


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
        return cls(_build(vectors, mode), item_num, dim, mode)

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
        if files := _FILES[self.mode]:
            try:
                self._searcher.serialize(str(directory), relative_path=True)
            except RuntimeError as error:  # all that it says of a full disk
                raise OSError(f"{directory}: ScaNN cannot write it ({error})") from error
            for path in directory.iterdir():
                if path.name not in files:
                    path.unlink()  # the vectors, which the caller has, and a list of files, which we make ourselves
        write_manifest(directory, kind="scann", mode=self.mode, n_items=len(self), dim=self._dim, effort=self._effort)

    @classmethod
    def load(cls, directory: ReadablePath, vectors: Vectors, item_num: ItemNums) -> Self:
        manifest = read_manifest(directory)
        vectors, item_num = check_vectors(vectors, item_num)
        check_fits(directory, manifest, *vectors.shape)
        assets = _FILES.get(manifest.mode)
        if manifest.kind != "scann" or assets is None:
            raise ArtifactError(
                f"index: {directory} is {manifest.kind[:20]!r} of mode {manifest.mode[:20]!r}, not ours"
            )
        files = read_files(directory, manifest, frozenset(assets))
        if files:
            _check_files(files, len(vectors), str(directory))
            searcher = _searcher_of(files, assets, vectors, str(directory))
        else:
            searcher = _build(vectors, "brute_force")
        return cls(searcher, item_num, manifest.dim, manifest.mode, manifest.effort)


def _build(vectors: Vectors, mode: Mode) -> Any:
    """A searcher of ScaNN's own."""
    n_items, dim = vectors.shape
    builder = load_scann().builder(vectors, 1, "dot_product")  # how many neighbours, each search says
    if mode == "tree":
        n_leaves = _n_leaves(n_items)
        builder = builder.tree(n_leaves, n_leaves, random_init=False)
    if mode == "brute_force":
        builder = builder.score_brute_force()
    else:
        builder = builder.score_ah(min(2, dim), anisotropic_quantization_threshold=0.2).reorder(1)
    return builder.build()


def _searcher_of(files: dict[str, bytes], assets: dict[str, str], vectors: Vectors, name: str) -> Any:
    """A searcher of saved files. ScaNN reads a folder: it gets one of its own, with our list of what is in it.

    So it reads what was checked, whatever becomes of the saved ones meanwhile, and no file that these name. Its Python
    loader, which would unpickle a `scann_docids.pkl`, is not used.
    """
    pybind = load_scann()
    with tempfile.TemporaryDirectory(prefix="belfry-") as private:
        for file, content in files.items():
            (Path(private) / file).write_bytes(content)
        np.save(Path(private) / _DATASET, vectors)
        named = [(kind, file) for file, kind in {**assets, _DATASET: "DATASET_NPY"}.items() if kind]
        text = "".join(f'assets {{ asset_type: {kind} asset_path: "{file}" }}\n' for kind, file in named)
        try:
            native = pybind.scann_pybind.ScannNumpy(private, text)
        except RuntimeError as error:
            raise ArtifactError(f"index: ScaNN cannot read {name}: {error}") from error
    return pybind.ScannSearcher(native)


def _check_files(files: dict[str, bytes], n_items: int, name: str) -> None:
    """Refuse what ScaNN does not check: a config that names files, and numbers out of range.

    Raises:
        ArtifactError: names the file.
    """
    if not _names_no_file(memoryview(files[_CONFIG])):
        raise ArtifactError(f"index: {name}/{_CONFIG} is no config of ours, or names a file; train again")
    hashed = parse_array(files[_HASHED], f"{name}/{_HASHED}")
    if hashed.dtype != np.uint8 or hashed.ndim != 2 or len(hashed) != n_items:
        raise ArtifactError(f"index: {name}/{_HASHED} has not one row of bytes for each of {n_items:,} items")
    if _TOKENS in files:
        tokens = parse_array(files[_TOKENS], f"{name}/{_TOKENS}")
        is_whole = tokens.dtype.kind == "i" and tokens.shape == (n_items,)
        if not is_whole or tokens.min() < 0 or tokens.max() >= _n_leaves(n_items):
            raise ArtifactError(f"index: {name}/{_TOKENS} has not one of {_n_leaves(n_items)} leaves for each item")


def _names_no_file(message: memoryview, depth: int = 0) -> bool:
    """Whether all that a message spans are messages and the few texts that our configs have."""
    if len(message) > 4096 or depth > 8:
        return False
    try:
        spans = [value for _, wire, value in fields(message) if wire == BYTES and isinstance(value, memoryview)]
    except ValueError:
        return False
    return all(bytes(span) in _TEXTS or (not _is_text(span) and _names_no_file(span, depth + 1)) for span in spans)


def _is_text(span: memoryview) -> bool:
    return len(span) > 0 and all(0x20 <= byte < 0x7F for byte in span)


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
