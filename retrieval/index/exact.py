"""ExactIndex: computes every score. Other indexes are measured against it, and it takes over where ScaNN cannot run."""

from pathlib import Path
from typing import Self

import numpy as np

from belfry.dataset.arrays import blocks
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.saved.files import ReadablePath
from belfry.retrieval.dense import best_columns
from belfry.retrieval.index.base import Found, Vectors, check_queries, check_vectors, no_results
from belfry.retrieval.index.files import check_fits, new_folder, read_manifest, write_manifest


class ExactIndex:
    """Blocked matrix products; equal scores come in order of item number."""

    is_exact = True
    mode = "exact"

    def __init__(self, vectors: Vectors, item_num: ItemNums) -> None:
        """Takes what `check_vectors` gives; use `build`."""
        self._vectors = vectors
        self._item_num = item_num

    def __len__(self) -> int:
        return len(self._item_num)

    @classmethod
    def build(cls, vectors: Vectors, item_num: ItemNums) -> Self:
        return cls(*check_vectors(vectors, item_num))

    def search(self, queries: Vectors, top_k: int) -> Found:
        queries = check_queries(queries, self._vectors.shape[1], top_k)
        n_found = min(top_k, len(self))
        item_num, score = no_results(len(queries), top_k)
        for rows in blocks(len(queries), len(self)):
            scores = queries[rows] @ self._vectors.T
            columns = best_columns(scores, n_found)
            item_num[rows, :n_found] = self._item_num[columns]
            score[rows, :n_found] = np.take_along_axis(scores, columns, axis=1)
        return item_num, score

    def save(self, directory: Path) -> None:
        new_folder(directory)
        n_items, dim = self._vectors.shape
        write_manifest(directory, kind="exact", mode=self.mode, n_items=n_items, dim=dim)

    @classmethod
    def load(cls, directory: ReadablePath, vectors: Vectors, item_num: ItemNums) -> Self:
        check_fits(directory, read_manifest(directory), *vectors.shape)
        return cls.build(vectors, item_num)
