"""Placement: what was learned, laid out by today's numbers; learned values stay, and new items get a place."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.layers.model import Arrays
from belfry.layers.saved.files import ReadablePath, parse_array, read_arrays, write_arrays
from belfry.layers.saved.numbered_graph import renumbered
from belfry.layers.towers.ridge import FeatureMatrix, Table, impute_biases, ridge
from belfry.pipeline.jobs.updating.numbering import Numbering
from belfry.pipeline.runs.trained import TrainedOn
from belfry.pipeline.serving.load import VECTORS_FILE

# Files of sources and rankers, and of the arrays in them those with a row for each item, or user; others stay.
_OF_ITEMS = frozenset({"item_factors.npy", "item_vectors.npy", "negative_share.npy", "items.npy", "item_variance.npy"})
_OF_USERS = frozenset({"user_deviation.npy", "user_vectors.npy", "users.npy", "user_variance.npy"})
_KNOWN_USERS = "known_users.npy"  # the hash of their ids
_HEADS, _HEAD_ROWS, _HEAD_COUNTS = "heads.npz", frozenset({"base", "item_factors", "embeddings"}), "counts"
_WITHOUT_ROWS = frozenset(
    "config.json score_blend.json utility.json ranker.txt mean_row.npy mean_rating.npy scale.npy "  # noqa: SIM905
    "variance_weights.npy".split()
)


@dataclass(frozen=True)
class Placement:
    """Where each item and user stands today, and where they stood."""

    numbering: Numbering
    trained: TrainedOn
    features: FeatureTables  # of today

    @cached_property
    def is_untrained(self) -> npt.NDArray[np.bool_]:
        """[n_items + 1] items that the weights do not know; the unknown's row is none of them."""
        is_new: npt.NDArray[np.bool_] = self.trained.items.numbers_of(self.numbering.items) == 0
        is_new[0] = False
        return is_new

    @property
    def n_new_by_features(self) -> int:
        """New items that features say something of."""
        return int(self._has_features[self.numbering.new_items].sum())

    def carry(
        self, source: ReadablePath, name: str, target: Path, *, by_features: bool = False, added: float = 0.0
    ) -> None:
        """Write the file `name` of `source` into the folder `target`, by today's numbers.

        Args:
            by_features: whether items that the weights do not know are placed by their features; else they get the row
                of the unknown.
            added: to the scores of those that features place.

        Raises:
            InputError: there are new ids, and the file is of a kind that tells nothing of its rows.
        """
        file = PurePosixPath(name).name
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (source / name).read_bytes()
        if self.numbering.is_as_before and not (by_features and self.is_untrained.any()):
            path.write_bytes(content)
        elif file == VECTORS_FILE:
            np.save(path, self.vectors(parse_array(content, name), by_features, added))
        elif file.endswith(".onnx"):
            of_items, of_users = self.numbering.items_before, self.numbering.users_before
            path.write_bytes(renumbered(content, of_items, of_users, lambda rows: self.rows(rows, by_features)))
        elif file in _OF_ITEMS:
            np.save(path, parse_array(content, name)[self.numbering.items_before])
        elif file in _OF_USERS:
            rows = parse_array(content, name)
            np.save(path, rows[self.numbering.users_before] if len(rows) else rows)
        elif file == _KNOWN_USERS:
            np.save(path, np.array(self.numbering.users.content_hash))
        elif file == _HEADS:
            write_arrays(path, self._heads(read_arrays(source / name)))
        elif file in _WITHOUT_ROWS:
            path.write_bytes(content)
        else:
            raise InputError(f"{name}: new users and items have no place in it; train again on all tables together")

    def vectors(self, vectors: Table, by_features: bool, added: float) -> Table:
        """[n_items + 1, dim] candidate vectors; where features place them, the last number of each is a bias."""
        placed = self.rows(vectors, by_features)
        if by_features and self.is_untrained.any():
            biases = impute_biases(self._regressors, placed[:, -1:], self._weights)
            placed[self.is_untrained, -1:] = biases[self.is_untrained]
            placed[self.is_untrained & self._has_features, -1] += added
        return placed

    def rows(self, rows: Table, by_features: bool) -> Table:
        """[n_items + 1, ...] a row for each item of today."""
        placed = np.ascontiguousarray(rows[self.numbering.items_before])
        is_placed = self.is_untrained & self._has_features
        if by_features and is_placed.any():
            slopes = ridge(self._regressors, placed, self._weights)
            placed[is_placed] = self._regressors[is_placed] @ slopes
        return placed

    @cached_property
    def _regressors(self) -> FeatureMatrix:
        """[n_items + 1, n_features] the features; of a multi-valued column a 1 for each value."""
        columns, n_rows = self.features.items, len(self.numbering.items) + 1
        if not columns.matrix.shape[1]:
            return scipy.sparse.csr_matrix(np.zeros((n_rows, 0), np.float32))
        regressors = columns.matrix.copy()
        regressors.data[regressors.indices < sum(columns.category_sizes)] = 1
        return regressors

    @cached_property
    def _has_features(self) -> npt.NDArray[np.bool_]:
        """[n_items + 1]"""
        return np.asarray(np.diff(self._regressors.indptr) > 0)

    @cached_property
    def _weights(self) -> npt.NDArray[np.float64]:
        """[n_items + 1] the root of each item's events at training: between a vote for each item and for each event."""
        return np.sqrt(self.trained.of_items[self.trained.items.numbers_of(self.numbering.items)])

    def _heads(self, arrays: Arrays) -> Arrays:
        """Of expected labels: arrays by number of the task and name."""
        placed = dict(arrays)
        for key, values in arrays.items():
            name = key.rpartition("/")[2]
            if name in _HEAD_ROWS:
                placed[key] = values[self.numbering.items_before]
            elif name == _HEAD_COUNTS:
                placed[key] = self.features.history.item_counts.astype(values.dtype)
        return placed
