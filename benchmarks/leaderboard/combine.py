"""Combinations: the stored lists of measured systems, put together; nothing is fitted a second time."""

from time import perf_counter

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.prepare import Data
from belfry.dataset.split import Split
from belfry.dataset.vocabulary import Numbers
from belfry.pipeline.training.source_choice import choose_sources
from belfry.retrieval.blend import CombinedRetriever, Source
from benchmarks.leaderboard.measure import TOP_K, mean_recall, result_of, scored
from benchmarks.leaderboard.results import VALIDATION, Chosen, Result, Store, seed_name
from benchmarks.leaderboard.splits import Case
from benchmarks.leaderboard.systems import BY_NAME, Combination


class StoredLists:
    """Lists made before, as a retriever for the very users that they were made for."""

    def __init__(self, lists: Candidates) -> None:
        self._lists = lists

    def retrieve(
        self, users: Numbers, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: Numbers | None = None
    ) -> Candidates:
        """The best `top_k` of each list; what `exclude` holds was left out when they were made."""
        if only is not None or not np.array_equal(users, self._lists.users):
            raise InputError("stored lists: they answer for their own users and the whole catalogue alone")
        return self._lists.select(self._lists.rank <= top_k)


def choose(combination: Combination, case: Case, data: Data, store: Store) -> Chosen:
    """Weights by the validation part of seed 0's train part.

    Raises:
        InputError: a part is not measured yet.
    """
    inner = case.validation(case.split(data.interactions, 0).train)
    features = data.features(inner.train)
    retriever = _combined(combination, case, store, VALIDATION, dict.fromkeys(combination.parts, 1.0))
    users = _users(combination, case, store, VALIDATION)
    weights = choose_sources(retriever, {}, frozenset(), users, features, Fold(inner.train, inner.test)).weights
    lists = _combined(combination, case, store, VALIDATION, weights).retrieve(
        users, features, top_k=TOP_K, exclude=inner.train.seen_items
    )
    return Chosen(key=combination.key(case.name), recall=mean_recall(lists, inner), weights=weights)


def measure(combination: Combination, chosen: Chosen, case: Case, data: Data, store: Store, seed: int) -> Result:
    """Judge the combined lists; seconds are those of the parts, one after the other, and of combining."""
    split: Split = case.split(data.interactions, seed)
    parts = [store.result(case.name, name, seed, BY_NAME[name].key(case.name)) for name in combination.parts]
    users = _users(combination, case, store, seed_name(seed))
    retriever = _combined(combination, case, store, seed_name(seed), chosen.weights)
    started = perf_counter()
    lists = retriever.retrieve(users, data.features(split.train), top_k=TOP_K, exclude=split.train.seen_items)
    seconds = perf_counter() - started + sum(len(users) / part.users_per_s for part in parts if part)
    return result_of(
        scored(lists, split, case),
        case,
        combination,
        seed,
        settings={f"weight of {name}": weight for name, weight in chosen.weights.items()},
        epochs=0,
        fit_s=sum(part.fit_s for part in parts if part),
        users_per_s=len(users) / seconds,
    )


def _combined(
    combination: Combination, case: Case, store: Store, name: str, weights: dict[str, float]
) -> CombinedRetriever:
    sources = [
        Source(part, StoredLists(_lists(part, case, store, name)), TOP_K, weights[part]) for part in combination.parts
    ]
    return CombinedRetriever(sources)


def _users(combination: Combination, case: Case, store: Store, name: str) -> Numbers:
    return _lists(combination.parts[0], case, store, name).users


def _lists(part: str, case: Case, store: Store, name: str) -> Candidates:
    lists = store.lists(case.name, part, name, BY_NAME[part].key(case.name))
    if lists is None:
        raise InputError(f"{part} has no lists for {name} on {case.name} yet; measure it first: --systems {part}")
    return lists
