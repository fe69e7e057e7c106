"""Examples: candidates that retrieval brought, labelled by what users did later. Negatives come from the candidates."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataset.candidates import Candidates
from dataset.interactions import Positions, SeenItems
from dataset.vocabulary import Numbers
from ranking.base import Matrix


@dataclass(frozen=True)
class Examples:
    """Lists of candidates with features and labels; only lists that hold a positive and a negative are kept.

    A later event that retrieval missed is in no list: the ranker cannot learn from it, but `n_relevant` counts it.
    """

    pairs: Matrix  # [n_rows, n_features]
    names: tuple[str, ...]  # of the features
    labels: npt.NDArray[np.float32]  # [n_rows], 1 = watched later
    starts: Positions  # [n_lists + 1]
    users: Numbers  # [n_lists]
    n_relevant: Positions  # [n_lists] later events of the user, among the candidates or not

    def __len__(self) -> int:
        """Count of lists."""
        return len(self.users)

    def select(self, lists: Positions) -> "Examples":
        """The lists at these positions, in this order."""
        counts = np.diff(self.starts)[lists]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.arange(starts[-1]) - np.repeat(starts[:-1], counts) + np.repeat(self.starts[lists], counts)
        return Examples(
            self.pairs[rows], self.names, self.labels[rows], starts, self.users[lists], self.n_relevant[lists]
        )

    def ndcg(self, score: npt.NDArray[np.float32], n: int = 10) -> npt.NDArray[np.float64]:
        """[n_lists] NDCG@n of sorting every list by `score` [n_rows]; ties by the order of the rows."""
        row_list = np.repeat(np.arange(len(self)), np.diff(self.starts))
        order = np.lexsort((-score, row_list))
        place = np.arange(len(score)) - self.starts[row_list]
        gain = np.where(place < n, self.labels[order] / np.log2(place + 2), 0)
        best = np.cumsum(1 / np.log2(np.arange(n) + 2))
        ideal = best[np.minimum(self.n_relevant, n) - 1]
        values: npt.NDArray[np.float64] = np.bincount(row_list, gain, minlength=len(self)) / ideal
        return values


def make_examples(candidates: Candidates, pairs: Matrix, names: tuple[str, ...], later: SeenItems) -> Examples:
    """Label candidates by what their users did later.

    Args:
        candidates: from a history that ends before `later`, or leaves it out.
        pairs: [n_rows, n_features] of the candidates.
        later: by user number.
    """
    labels = later.contains(candidates.user_num, candidates.item_num)
    examples = Examples(
        pairs,
        names,
        labels.astype(np.float32),
        candidates.starts,
        candidates.users,
        later.count(candidates.users),
    )
    n_positives = np.add.reduceat(np.append(labels, False), candidates.starts)[:-1] * (np.diff(candidates.starts) > 0)
    return examples.select(np.flatnonzero((n_positives > 0) & (n_positives < np.diff(candidates.starts))))


def concatenate(parts: list[Examples]) -> Examples:
    """The lists of all parts; the features must be the same."""
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    return Examples(
        np.concatenate([part.pairs for part in parts]),
        parts[0].names,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.n_relevant for part in parts]),
    )


def split_by_user(examples: Examples, *, share: float, seed: int) -> tuple[Examples, Examples]:
    """(to learn from, to validate on): a `share` of the users, with all their lists, goes to validation."""
    users = np.unique(examples.users)
    n_held_back = max(1, round(len(users) * share))
    held_back = np.random.default_rng(seed).permutation(users)[:n_held_back]
    is_held_back = np.isin(examples.users, held_back)
    return examples.select(np.flatnonzero(~is_held_back)), examples.select(np.flatnonzero(is_held_back))
