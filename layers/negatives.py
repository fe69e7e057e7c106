"""Negatives: which items a step of training tells its targets from, and how likely each was to be among them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, UserNums

Negatives: TypeAlias = Literal["all", "in_batch", "uniform", "popularity", "mixed", "hard"]

_POPULARITY_POWER = 0.75  # Mikolov et al., Distributed representations of words and phrases, NIPS 2013


@dataclass(frozen=True)
class SampledCandidates:
    """The items of one step."""

    item_num: ItemNums  # [n_candidates] unique, rising
    log_q: npt.NDArray[np.float32]  # [n_candidates] log of the chance that the item is here
    is_negative: npt.NDArray[np.bool_]  # [n_candidates] a negative of every query that has not watched it


class NegativeSampler:
    """Draws the candidates of each step; an item without events is never among them, for nothing is known of it.

    `negatives` says what the targets of a step are told from: "in_batch" the targets of all its queries; "uniform"
    and "popularity" items drawn evenly, or by count ** 0.75; "mixed" the first two together; "all" and "hard" the
    whole catalogue where `n_candidates` holds it, otherwise as "mixed".

    Source of "mixed": Yang et al., Mixed negative sampling for learning two-tower neural networks in recommendations,
    WWW 2020.
    """

    def __init__(self, history: Interactions, negatives: Negatives, n_candidates: int) -> None:
        counts = np.bincount(history.item_num, minlength=len(history.items) + 1).astype(np.float64)
        counts[UNKNOWN] = 0
        self.has_events = counts > 0  # [n_items + 1] watched or shown by anyone
        if history.impressions is not None:
            self.has_events[history.impressions.item_num] = True
        self._share = counts / max(counts.sum(), 1)
        self._in_batch = negatives not in ("uniform", "popularity")
        self._n_drawn = 0 if negatives == "in_batch" else n_candidates
        drawn = counts**_POPULARITY_POWER if negatives == "popularity" else self.has_events.astype(np.float64)
        self._drawn_share = drawn / max(drawn.sum(), 1)
        self._drawn_edges = np.cumsum(self._drawn_share)[:-1]
        self.is_whole = negatives in ("all", "hard") and np.count_nonzero(self.has_events) <= n_candidates

    def __call__(self, targets: ItemNums, asked: UserNums, generator: np.random.Generator) -> SampledCandidates:
        """The candidates of one step.

        Args:
            targets: [n_targets] of all queries, each with its repetitions.
            asked: items that must be candidates too, to be negatives of some queries.
        """
        if self.is_whole:
            everything = np.flatnonzero(self.has_events).astype(np.int32)
            return SampledCandidates(
                everything, np.zeros(len(everything), np.float32), np.ones(len(everything), np.bool_)
            )
        certain = np.unique(asked[self.has_events[asked]])
        n_drawn = self._n_drawn
        if n_drawn and self._in_batch:  # targets and draws share the room, and some are drawn whatever the targets
            n_drawn = max(n_drawn - len(np.unique(targets)) - len(certain), n_drawn // 4, 1)
        drawn = np.searchsorted(self._drawn_edges, generator.random(n_drawn), side="right").astype(np.int32)
        items = np.unique(np.concatenate([targets, certain, drawn]))
        # 1 - the chance that neither any target nor any draw is this item
        log_missed = n_drawn * np.log1p(-np.minimum(self._drawn_share[items], 0.999999))
        is_negative = np.isin(items, drawn)
        if self._in_batch:
            log_missed += len(targets) * np.log1p(-np.minimum(self._share[items], 0.999999))
            is_negative |= np.isin(items, targets)
        log_q = np.log(np.maximum(-np.expm1(log_missed), 1e-30))
        log_q[np.isin(items, certain)] = 0
        return SampledCandidates(items, log_q.astype(np.float32), is_negative)
