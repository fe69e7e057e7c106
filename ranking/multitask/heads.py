"""Heads: the labels that a multitask model expects, out of its queries and its arrays. NumPy alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from belfry.dataset.arrays import blocks
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.saved.array_check import Lengths, check_arrays, check_lengths, positive
from belfry.layers.saved.files import ReadablePath, read_arrays, write_arrays
from belfry.ranking.base import Matrix
from belfry.ranking.multitask.category_lifts import CategoryLifts
from belfry.ranking.multitask.config import MultitaskConfig, TaskKind
from belfry.ranking.multitask.label_batches import LabelRows
from belfry.ranking.multitask.ridge_head import RidgeHead

TASK_QUERIES_FILE = "task_queries.onnx"
HEADS_FILE = "heads.npz"


@dataclass(frozen=True)
class Heads:
    """The tasks of a model."""

    config: MultitaskConfig
    tables: Sequence[RidgeHead]
    category_shares: Matrix  # [n_categories] as `CategoryLifts` takes them
    lengths: Lengths = field(default_factory=dict)  # of what was loaded

    def expected(self, candidates: Candidates, features: FeatureTables, task_queries: Matrix) -> Matrix:
        """[n_rows, n_tasks] each task's expected label, on the scale of the labels learned from.

        Args:
            task_queries: [n_asked, n_tasks * embedding_size], those of the tasks side by side.
        """
        return self._of_pairs(RidgeHead.predict, candidates, features, task_queries)

    def deviations(self, candidates: Candidates, features: FeatureTables, task_queries: Matrix) -> Matrix:
        """[n_rows, n_tasks] each label's standard deviation; NaN of a regression, which knows none."""
        return self._of_pairs(RidgeHead.deviation, candidates, features, task_queries)

    @property
    def deviating_labels(self) -> tuple[str, ...]:
        """Of the tasks that know a distribution."""
        return tuple(task.column for task in self.config.tasks if task.kind != "regression")

    def _of_pairs(
        self,
        compute: Callable[[RidgeHead, Matrix, Matrix, ItemNums, TaskKind], Matrix],
        candidates: Candidates,
        features: FeatureTables,
        task_queries: Matrix,
    ) -> Matrix:
        """[n_rows, n_tasks] by a method of each head."""
        self._check_fits(features)
        names = self.config.task_columns
        observed = LabelRows.of(features.history, names, candidates.users, max_length=self.config.max_history)
        queries = np.split(task_queries, len(names), axis=1)
        lifts = CategoryLifts(features, candidates.users, self.category_shares)
        user_factors = [
            table.user_factors(queries[number], candidates.users, features, lifts, observed, number)
            for number, table in enumerate(self.tables)
        ]
        computed = np.empty((len(candidates), len(names)), np.float32)
        for rows in blocks(len(candidates), user_factors[0].shape[1]):
            row_user, items = candidates.row_user[rows], candidates.item_num[rows]
            of_pairs = lifts(row_user, items, are_watched=False)
            for number, (task, table) in enumerate(zip(self.config.tasks, self.tables, strict=True)):
                factors = user_factors[number][row_user]
                computed[rows, number] = compute(table, factors, of_pairs, items, task.kind)
        return computed

    def _check_fits(self, features: FeatureTables) -> None:
        """Raises ArtifactError: they are of other items or features."""
        known = {
            "n_items": len(features.history.items),
            "n_categories": sum(features.items.category_sizes),
            "n_columns": len(features.items.category_sizes),
            "n_user_features": features.users.matrix.shape[1],
        }
        check_lengths(HEADS_FILE, self.lengths, known)

    def save(self, directory: Path) -> None:
        arrays: dict[str, Matrix] = {}
        for number, table in enumerate(self.tables):
            arrays |= {f"{number}/{name}": values for name, values in table.arrays().items()}
        write_arrays(directory / HEADS_FILE, {"category_shares": self.category_shares, **arrays})

    @classmethod
    def load(cls, directory: ReadablePath, config: MultitaskConfig) -> "Heads":
        path = directory / HEADS_FILE
        arrays = read_arrays(path)
        forms = {"category_shares": positive("n_categories")}
        for number, task in enumerate(config.tasks):
            forms |= {f"{number}/{name}": form for name, form in RidgeHead.forms(task.kind).items()}
        lengths = check_arrays(path, arrays, forms)
        tables = []
        for number in range(len(config.tasks)):
            prefix = f"{number}/"
            of_task = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            tables.append(RidgeHead.of(of_task))
        return cls(config, tables, arrays["category_shares"], lengths)
