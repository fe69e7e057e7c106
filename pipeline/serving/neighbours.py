"""Neighbourhood: which items, or users, have similar vectors."""

import numpy as np
import numpy.typing as npt

from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.vocabulary import Numbers
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.retrieval.base import Embeddings

_EPSILON = 1e-6  # of a standard deviation, or a norm: below it a dimension is the same for everybody


class Neighbourhood:
    """Cosines between vectors whose dimensions were standardised: centred, and divided by their standard deviation.

    That keeps a single large dimension, such as the bias that holds popularity, from deciding alone.
    """

    def __init__(self, vectors: Embeddings, members: Numbers) -> None:
        """Takes `vectors` [n + 1, dim], row i for number i. Only `members`, in rising order, are compared and found."""
        self._members = members
        chosen = np.asarray(vectors[members], np.float32)
        spread = chosen.std(axis=0)
        kept = spread > _EPSILON
        scaled = (chosen[:, kept] - chosen[:, kept].mean(axis=0)) / spread[kept]
        self._directions = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), _EPSILON)

    def __contains__(self, number: int) -> bool:
        return bool(np.isin(number, self._members))

    def cosines(self, numbers: Numbers, others: Numbers) -> npt.NDArray[np.float32]:
        """[n_numbers, n_others] between members."""
        places = (np.searchsorted(self._members, chosen) for chosen in (numbers, others))
        first, second = (self._directions[place] for place in places)
        cosines: npt.NDArray[np.float32] = first @ second.T
        return cosines

    def directions(self, n: int) -> npt.NDArray[np.float32]:
        """[n + 1, dim] of unit length, row i for number i; 0 for those that are no members."""
        directions = np.zeros((n + 1, self._directions.shape[1]), np.float32)
        directions[self._members] = self._directions
        return directions

    def nearest(self, number: int, n: int) -> tuple[Numbers, npt.NDArray[np.float32]]:
        """The `n` members nearest to member `number`, without itself, and their cosines; ties by number."""
        place = int(np.searchsorted(self._members, number))
        cosines = self._directions @ self._directions[place]
        cosines[place] = -np.inf
        order = np.argsort(-cosines, kind="stable")[: min(n, len(self._members) - 1)]
        return self._members[order], cosines[order]


class Neighbourhoods:
    """Those of the items and of the users of one run, each made when it is first asked for."""

    def __init__(self, two_stage: TwoStage) -> None:
        self._two_stage = two_stage

    @cached_property
    def of_items(self) -> Neighbourhood:
        vectors = self._two_stage.vectors
        return Neighbourhood(vectors, np.arange(1, len(vectors), dtype=np.int32))

    @cached_property
    def of_users(self) -> Neighbourhood:
        """Of the users with a history, all of whom are encoded."""
        features, towers = self._two_stage.features, self._two_stage.towers
        users = features.history.users.all_numbers
        with_history = users[features.history.seen_items.count(users) > 0]
        return Neighbourhood(towers.encode_queries(users, features), with_history)
