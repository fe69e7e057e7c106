"""CandidateIndex: the items with the highest dot product with a query; and the checks that every index makes."""

from pathlib import Path
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import InputError
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, Numbers
from belfry.layers.saved.files import ReadablePath

Vectors: TypeAlias = npt.NDArray[np.float32]  # [n, dim]
Found: TypeAlias = tuple[Numbers, npt.NDArray[np.float32]]  # both [n_queries, top_k]


class CandidateIndex(Protocol):
    """Finds items by their dot product with a query; higher is better. Safe to search from many threads at once."""

    @property
    def is_exact(self) -> bool:
        """Whether it always finds the true best items."""
        ...

    @property
    def mode(self) -> str:
        """How it searches, for logs and reports."""
        ...

    def __len__(self) -> int:
        """Count of items."""
        ...

    @classmethod
    def build(cls, vectors: Vectors, item_num: ItemNums) -> Self:
        """An index of `vectors` [n_items, dim], row i for item `item_num[i]`, in any order.

        Raises:
            InputError: no vectors, one that is not finite, an item twice, or counts that differ.
        """
        ...

    def search(self, queries: Vectors, top_k: int) -> Found:
        """Item numbers and scores, both [n_queries, top_k], best first.

        Where there are fewer than `top_k` items, rows end in item 0 with score -inf.

        Raises:
            InputError: queries of another width, or not finite; `top_k` below 1.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write all but the vectors and their items into `directory`, which must be new or empty."""
        ...

    @classmethod
    def load(cls, directory: ReadablePath, vectors: Vectors, item_num: ItemNums) -> Self:
        """What `save` wrote, with the `vectors` that it was built of.

        Raises:
            ArtifactError: a file is missing, damaged, or none of ours; or the index is of other vectors.
            InputError: as in `build`.
        """
        ...


def check_vectors(vectors: Vectors, item_num: ItemNums) -> tuple[Vectors, Numbers]:
    """The same vectors as contiguous float32 and their int32 items, in rising order of item number.

    Duplicate and zero vectors are fine.

    Raises:
        InputError: as in `CandidateIndex.build`.
    """
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise InputError(f"index: vectors have shape {vectors.shape}; wanted [n_items, dim]")
    if len(vectors) != len(item_num):
        raise InputError(f"index: {len(vectors)} vectors for {len(item_num)} item numbers; wanted one each")
    if len(vectors) == 0:
        raise InputError("index: no vectors; give at least one item")
    order = np.argsort(item_num, kind="stable")
    if (order[1:] < order[:-1]).any():  # else they stand in order, and need no copy
        item_num, vectors = item_num[order], vectors[order]
    item_num = np.ascontiguousarray(item_num, np.int32)
    vectors = np.ascontiguousarray(vectors, np.float32)
    if item_num[0] <= UNKNOWN:
        raise InputError(f"index: item number {item_num[0]} cannot be recommended; numbers start at 1")
    twice = np.unique(item_num[1:][item_num[1:] == item_num[:-1]])
    if len(twice):
        raise InputError(f"index: {len(twice)} item numbers come twice (first {twice[:5].tolist()}); give each once")
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        raise InputError(
            f"index: {broken.sum()} vectors hold NaN or infinity (items {item_num[broken][:5].tolist()}, "
            f"rows {np.sort(order[broken])[:5].tolist()}); train again with a lower learning rate or drop them"
        )
    return vectors, item_num


def check_queries(queries: Vectors, dim: int, top_k: int) -> Vectors:
    """The same queries as contiguous float32.

    Raises:
        InputError: as in `CandidateIndex.search`.
    """
    if top_k < 1:
        raise InputError(f"index: top_k is {top_k}; ask for at least 1")
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise InputError(f"index: queries have shape {queries.shape}, the indexed vectors have {dim} dimensions")
    if not np.isfinite(queries).all():
        rows = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        raise InputError(f"index: {len(rows)} queries hold NaN or infinity (first in row {rows[0]})")
    return np.ascontiguousarray(queries, np.float32)


def no_results(n_queries: int, top_k: int) -> Found:
    """[n_queries, top_k] padding for both results: item 0, score -inf; to be filled from the left."""
    return np.full((n_queries, top_k), UNKNOWN, np.int32), np.full((n_queries, top_k), -np.inf, np.float32)
