"""Heads: what a multitask model scores candidates with, out of its queries and its arrays. NumPy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from layers.labelled import LabelRows
from ranking.base import Matrix, Scores
from ranking.category_lifts import CategoryLifts
from ranking.multitask_config import MultitaskConfig
from ranking.taste import TasteTable

QUERY_TOWER_FILE = "query_tower.onnx"  # as `retrieval.serving` reads it
TASK_QUERIES_FILE = "task_queries.onnx"
HEADS_FILE = "heads.npz"
_ROWS_PER_BLOCK = 1 << 16


@dataclass(frozen=True)
class Heads:
    """The tasks of a model, and what the watch task needs beside its queries."""

    config: MultitaskConfig
    tables: Sequence[TasteTable]
    vectors: Matrix  # [n_items + 1, embedding_size + 1] candidate embeddings of the watch task
    category_shares: Matrix  # [n_categories] as `CategoryLifts` takes them

    def expected(self, candidates: Candidates, features: FeatureTables, task_queries: Matrix) -> Matrix:
        """[n_rows, n_tasks] each task's expected label, on the scale of the labels learned from.

        Args:
            task_queries: [n_asked, n_tasks * embedding_size], those of the tasks side by side.
        """
        names = [task.column for task in self.config.tasks]
        said = LabelRows.of(features.history, names, candidates.users, most=self.config.max_history)
        queries = np.split(task_queries, len(names), axis=1)
        lifts = CategoryLifts(features, candidates.users, self.category_shares)
        tastes = [
            table.tastes(queries[number], candidates.users, features, lifts, said, number)
            for number, table in enumerate(self.tables)
        ]
        expected = np.empty((len(candidates), len(names)), np.float32)
        for first in range(0, len(candidates), _ROWS_PER_BLOCK):
            rows = slice(first, first + _ROWS_PER_BLOCK)
            row_user, items = candidates.row_user[rows], candidates.item_num[rows]
            of_pairs = lifts(row_user, items, are_watched=False)
            for number, (task, table) in enumerate(zip(self.config.tasks, self.tables, strict=True)):
                expected[rows, number] = table.predict(tastes[number][row_user], of_pairs, items, task.kind)
        return expected

    def score(
        self, candidates: Candidates, features: FeatureTables, watch_queries: Matrix, task_queries: Matrix
    ) -> Scores:
        """[n_rows] the utility: the log of the watch's probability and each expected label, by their shares.

        The probability is that among all items, up to a factor of the user, which changes no list.

        Args:
            watch_queries: [n_asked, embedding_size + 1].
            task_queries: as in `expected`.
        """
        shares = np.array([task.utility for task in self.config.tasks], np.float32)
        watch = np.empty(len(candidates), np.float32)
        for first in range(0, len(candidates), _ROWS_PER_BLOCK):
            rows = slice(first, first + _ROWS_PER_BLOCK)
            of_users, of_items = watch_queries[candidates.row_user[rows]], self.vectors[candidates.item_num[rows]]
            watch[rows] = np.einsum("ij,ij->i", of_users, of_items) / self.config.temperature
        if not shares.any():
            return watch
        return np.asarray((1 - shares.sum()) * watch + self.expected(candidates, features, task_queries) @ shares)

    def save(self, directory: Path) -> None:
        arrays: dict[str, Matrix] = {}
        for number, table in enumerate(self.tables):
            arrays |= {f"{number}/{name}": values for name, values in table.arrays().items()}
        arrays |= {"vectors": self.vectors, "category_shares": self.category_shares}
        np.savez(directory / HEADS_FILE, **arrays)  # type: ignore[arg-type]  # the stub takes one for allow_pickle

    @classmethod
    def load(cls, directory: Path, config: MultitaskConfig) -> "Heads":
        with np.load(directory / HEADS_FILE) as file:
            arrays = dict(file)
        tables = []
        for number in range(len(config.tasks)):
            prefix = f"{number}/"
            of_task = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            tables.append(TasteTable.of(of_task))
        return cls(config, tables, arrays["vectors"], arrays["category_shares"])
