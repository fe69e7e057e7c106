"""Negative sampling: the candidates of a training step, and the probability that each is among them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums

Negatives: TypeAlias = Literal["all", "in_batch", "uniform", "popularity", "mixed", "hard"]

_EPSILON = 1e-30  # smallest probability, so that its log is finite
_POPULARITY_POWER = 0.75  # Mikolov et al., Distributed representations of words and phrases, NIPS 2013


@dataclass(frozen=True)
class SampledCandidates:
    """The candidates of one step."""

    item_num: ItemNums  # [n_candidates] unique, rising
    log_q: npt.NDArray[np.float32]  # [n_candidates] log of the probability that the item is among them
    is_negative: npt.NDArray[np.bool_]  # [n_candidates] a negative of every query that has not watched it


class NegativeSampler:
    """Samples the candidates of each step; an item without events is never among them.

    `negatives` says what the negatives are. "in_batch": the targets of all queries of the step. "uniform": n items,
    all with the same probability; "popularity": n items, with q_i ~ count_i^0.75. "mixed": "in_batch" and "uniform"
    together. "all" and "hard": the whole catalogue where it has at most `n_candidates` items, otherwise as "mixed".

    An item of share p_i among the events, drawn with q_i, is a candidate with probability
    1 - (1 - p_i)^n_targets (1 - q_i)^n, the first factor where targets are negatives; its log is `log_q`.

    Source of "mixed": Yang et al., Mixed negative sampling for learning two-tower neural networks in recommendations,
    WWW 2020.
    """

    def __init__(
        self, history: Interactions, negatives: Negatives, n_candidates: int, n_sampled: int | None = None
    ) -> None:
        """`n_sampled` stands for `n_candidates` where candidates are sampled and it is the lower one."""
        counts = np.bincount(history.item_num, minlength=len(history.items) + 1).astype(np.float64)
        counts[UNKNOWN] = 0
        self.has_events = counts > 0  # [n_items + 1] has a watch, an impression or a dislike
        if history.negatives is not None:
            self.has_events[history.negatives.item_num] = True
        self._share = counts / max(counts.sum(), 1)
        self._in_batch = negatives not in ("uniform", "popularity")
        self.is_whole = negatives in ("all", "hard") and np.count_nonzero(self.has_events) <= n_candidates
        self._n_drawn = 0 if negatives == "in_batch" else min(n_candidates, n_sampled or n_candidates)
        drawn = counts**_POPULARITY_POWER if negatives == "popularity" else self.has_events.astype(np.float64)
        self._drawn_share = drawn / max(drawn.sum(), 1)
        self._drawn_edges = np.cumsum(self._drawn_share)[:-1]

    @property
    def everything(self) -> ItemNums:
        """All items that may be candidates, rising."""
        return np.flatnonzero(self.has_events).astype(np.int32)

    def __call__(self, targets: ItemNums, required: ItemNums, generator: np.random.Generator) -> SampledCandidates:
        """The candidates of one step.

        Args:
            targets: [n_targets] of all queries, with repetitions.
            required: items that must be candidates too, because they are negatives of some queries.
        """
        if self.is_whole:
            items = self.everything
            return SampledCandidates(items, np.zeros(len(items), np.float32), np.ones(len(items), np.bool_))
        required = np.unique(required[self.has_events[required]])
        n_drawn = self._n_drawn
        if n_drawn and self._in_batch:  # targets count towards n_candidates, but a quarter of it is always drawn
            n_drawn = max(n_drawn - len(np.unique(targets)) - len(required), n_drawn // 4, 1)
        drawn = np.searchsorted(self._drawn_edges, generator.random(n_drawn), side="right").astype(np.int32)
        items = np.unique(np.concatenate([targets, required, drawn]))
        # log of the probability that neither a target nor a drawn item is this one; the bounds keep logs finite
        log_missed = n_drawn * np.log1p(-np.minimum(self._drawn_share[items], 0.999999))
        is_negative = np.isin(items, drawn)
        if self._in_batch:
            log_missed += len(targets) * np.log1p(-np.minimum(self._share[items], 0.999999))
            is_negative |= np.isin(items, targets)
        log_q = np.log(np.maximum(-np.expm1(log_missed), _EPSILON))
        log_q[np.isin(items, required)] = 0
        return SampledCandidates(items, log_q.astype(np.float32), is_negative)
