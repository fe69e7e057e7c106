"""Which sources of candidates stay, and how much the scores of each count, by what the first fold holds back."""

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.vocabulary import UserNums
from belfry.retrieval.blend import CombinedRetriever

GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
DEPTH, HEAD = 100, 10  # lengths of the lists that recall and NDCG are taken of
_FIRST_WEIGHTS = (0.2, 0.5, 1.0, 2.0)  # that a source is tried with
_ROUNDS = 2
_CLEAR = 1.0  # standard errors that a further source must gain

log = logging.getLogger(__name__)

Worths = npt.NDArray[np.float64]  # [n_users] mean of recall@100 and NDCG@10


@dataclass(frozen=True)
class SourceChoice:
    """What the sources gave, alone and together."""

    weights: dict[str, float]  # of the sources that stay, in the order of the sources
    alone: dict[str, float]  # every source that was tried -> its worth without the others
    gains: dict[str, float]  # in the order of choice: what each added to those before it; the first one's is its worth
    worth: float  # of those that stay, together


def choose_sources(
    retriever: CombinedRetriever,
    fixed: dict[str, float],
    optional: frozenset[str],
    users: UserNums,
    features: FeatureTables,
    fold: Fold,
) -> SourceChoice:
    """Forward selection: the source of the best lists, then whichever adds most, while the gain is clear.

    The worth of lists is the mean of recall@100 and NDCG@10 over `users`; a gain is clear above one standard error of
    the difference. Weights go by coordinate ascent over a small grid, and a change must be a gain, so the union is
    never worth less than the best single source.

    Args:
        fixed: weights that may not change, by name; such sources take part from the start.
        optional: sources that may be left out; others stay, if only to propose, with a weight of 0.
        features: of the fold's history.
    """
    tables = _Tables.of(retriever, users, features, fold)
    names = [source.name for source in retriever.sources]
    start = np.array([fixed.get(name, 0.0) for name in names])
    alone = {name: float(tables.worths(one).mean()) for name, one in zip(names, np.eye(len(names)), strict=True)}
    free = [place for place, name in enumerate(names) if name not in fixed]
    weights, best, gains = start, tables.worths(start) if start.any() else np.zeros(len(users)), dict[str, float]()
    waiting = list(free)
    while waiting:
        tried = [
            (place, _with(weights, place, value))
            for place in waiting
            for value in (_FIRST_WEIGHTS if weights.any() else (1.0,))
        ]
        worths = [tables.worths(one) for _, one in tried]
        winner = int(np.argmax([worth.mean() for worth in worths]))
        difference = worths[winner] - best
        if weights.any() and not difference.mean() > _CLEAR * difference.std() / np.sqrt(len(users)):
            break
        (place, weights), best = tried[winner], worths[winner]
        weights, best = _ascend(tables, weights, best, [other for other in free if weights[other]])
        waiting.remove(place)
        gains[names[place]] = float(difference.mean())
    if weights[free].any() and not fixed:
        weights = weights / weights[np.flatnonzero(weights)[0]]  # scores are compared within a list alone
    stay = [place for place, name in enumerate(names) if weights[place] or name not in optional or not place]
    choice = SourceChoice({names[place]: float(weights[place]) for place in stay}, alone, gains, float(best.mean()))
    _tell(choice)
    return choice


def _with(weights: npt.NDArray[np.float64], place: int, value: float) -> npt.NDArray[np.float64]:
    changed = weights.copy()
    changed[place] = value
    return changed


def _ascend(
    tables: "_Tables", weights: npt.NDArray[np.float64], best: Worths, places: list[int]
) -> tuple[npt.NDArray[np.float64], Worths]:
    """Coordinate ascent over `GRID`, in the weights at `places`."""
    for _ in range(_ROUNDS if len(places) > 1 else 0):
        before = best.mean()
        for place in places:
            for value in GRID[1:]:
                tried = _with(weights, place, value)
                if (worths := tables.worths(tried)).mean() > best.mean():
                    weights, best = tried, worths
        if best.mean() == before:
            break
    return weights, best


def _tell(choice: SourceChoice) -> None:
    for name, worth in choice.alone.items():
        weight, gain = choice.weights.get(name), choice.gains.get(name)
        verdict = "is left out: it adds nothing clear" if weight is None else f"weight {weight:.2f}"
        added = "" if gain is None else f", added {gain:.4f}"
        log.info("source %r: mean of recall@100 and NDCG@10 %.4f alone%s; %s", name, worth, added, verdict)
    counting = [name for name, weight in choice.weights.items() if weight]
    if len(counting) == 1:
        log.info("source %r orders the candidates alone: no other adds anything clear to its lists", counting[0])
    else:
        log.info("sources together: %.4f", choice.worth)


@dataclass(frozen=True)
class _Tables:
    """What all sources propose to each of n users, a row of cells for each, padded behind."""

    values: npt.NDArray[np.float32]  # [n_sources, n_users, longest] normalised scores
    brought: Mask  # [n_sources, n_users, longest] whether the source proposed it
    is_hit: Mask  # [n_users, longest] whether the user came to watch it
    n_relevant: npt.NDArray[np.int64]  # [n_users]

    @classmethod
    def of(cls, retriever: CombinedRetriever, users: UserNums, features: FeatureTables, fold: Fold) -> "_Tables":
        """What `users` are proposed by a retriever that knows the fold's history, but for new items.

        Few sources can bring those, and where they stand is learned apart.
        """
        later, quotas = fold.later.seen_items, [source.quota for source in retriever.sources]
        proposed = retriever.propose(users, features, top_k=min(DEPTH, quotas[0]), exclude=fold.exclude)
        values = retriever.values(proposed, quotas)
        if retriever.is_new is not None:
            known = ~retriever.is_new[proposed.item_num]
            proposed, values = proposed.select(known), values[known]
        place = np.arange(len(proposed)) - proposed.starts[proposed.row_user]
        shape = (len(users), max(int(np.diff(proposed.starts).max(initial=0)), DEPTH + 1))
        cells = (proposed.row_user, place)
        table = np.zeros((values.shape[1], *shape), np.float32)
        brought, is_hit = np.zeros(table.shape, np.bool_), np.zeros(shape, np.bool_)
        assert proposed.source_rank is not None
        table[:, *cells], brought[:, *cells], is_hit[cells] = (
            values.T,
            proposed.source_rank.T > 0,
            later.contains(users[proposed.row_user], proposed.item_num),
        )
        return cls(table, brought, is_hit, later.count(users))

    @cached_property
    def _ideal(self) -> Worths:
        """[n_users] DCG@10 of the best list."""
        best: Worths = np.cumsum(1 / np.log2(np.arange(HEAD) + 2))[np.minimum(self.n_relevant, HEAD) - 1]
        return best

    def worths(self, weights: npt.NDArray[np.float64]) -> Worths:
        """Of the lists of sources whose weight is not 0, by the weighted sum of their scores."""
        used = np.flatnonzero(weights)
        score = np.tensordot(weights[used].astype(np.float32), self.values[used], 1)
        score[~self.brought[used].any(axis=0)] = -np.inf
        top = np.argpartition(score, -DEPTH, axis=1)[:, -DEPTH:]
        top_score = np.take_along_axis(score, top, axis=1)
        found = np.take_along_axis(self.is_hit, top, axis=1) & (top_score > -np.inf)
        order = np.argsort(-top_score, axis=1, kind="stable")[:, :HEAD]
        head = np.take_along_axis(found, order, axis=1)
        ndcg = (head / np.log2(np.arange(HEAD) + 2)).sum(axis=1) / self._ideal
        worths: Worths = (found.sum(axis=1) / self.n_relevant + ndcg) / 2
        return worths
