"""Numbering: the users and items of a run and those that came since, and what each of them was called before."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset.features import FeatureColumns
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers, Vocabulary

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Numbering:
    """Numbers rise with ids, so a new id moves those behind it."""

    users: Vocabulary
    items: Vocabulary
    users_before: Numbers  # [n_users + 1] the number that each had; 0 for the new, and for the unknown
    items_before: Numbers  # [n_items + 1]

    @classmethod
    def of(cls, history: Interactions, user_ids: pa.ChunkedArray, item_ids: pa.ChunkedArray) -> "Numbering":
        """Those of a history, and all of the ids."""
        users, items = joined(history.users, user_ids), joined(history.items, item_ids)
        return cls(users, items, history.users.numbers_of(users), history.items.numbers_of(items))

    @property
    def is_as_before(self) -> bool:
        """Whether nobody and nothing is new."""
        return len(self.new_users) == len(self.new_items) == 0

    @property
    def new_users(self) -> Numbers:
        return _new(self.users_before)

    @property
    def new_items(self) -> Numbers:
        return _new(self.items_before)

    def history(self, history: Interactions) -> Interactions:
        """The events of before, by today's numbers."""
        if self.is_as_before:
            return history
        user_now, item_now = _now(self.users_before), _now(self.items_before)

        def now(pairs: SeenItems | None) -> SeenItems | None:
            if pairs is None:
                return None
            starts = np.searchsorted(user_now[pairs.user_num], np.arange(len(self.users) + 2)).astype(np.int64)
            return SeenItems(starts, item_now[pairs.item_num], pairs.time_s)

        return replace(
            history,
            users=self.users,
            items=self.items,
            user_num=user_now[history.user_num],
            item_num=item_now[history.item_num],
            impressions=now(history.impressions),
            dislikes=now(history.dislikes),
        )

    def titles(self, titles: pa.Array) -> pa.Array:
        """[n_items] null for the new."""
        place = self.items_before[1:].astype(np.int64) - 1
        return titles.take(pa.array(place, mask=place < 0))


def columns_of(columns: FeatureColumns, before: Numbers) -> FeatureColumns:
    """The rows of before, by today's numbers; those of the new say nothing."""
    return with_arrays(columns, lambda kind, name, values: values[before])


def with_arrays(columns: FeatureColumns, change: Callable[[str, str, Array], Array]) -> FeatureColumns:
    """The same columns, the array of each changed, which is told the kind and the name of the column."""
    kinds = {field.name: getattr(columns, field.name) for field in fields(columns)}
    changed: dict[str, Any] = {
        kind: {name: change(kind, name, values) for name, values in named.items()}
        for kind, named in kinds.items()
        if isinstance(named, dict) and all(isinstance(values, np.ndarray) for values in named.values())
    }
    return replace(columns, **changed)


def joined(known: Vocabulary, ids: pa.ChunkedArray) -> Vocabulary:
    """The same vocabulary where all `ids` are known."""
    new = ids.combine_chunks().filter(pa.array(known.numbers(ids) == 0))
    return Vocabulary(pa.chunked_array([known.ids, new])) if len(new) else known


def _new(before: Numbers) -> Numbers:
    return (1 + np.flatnonzero(before[1:] == 0)).astype(np.int32)


def _now(before: Numbers) -> Numbers:
    """[n_before + 1] today's number of each number of before; nobody has gone."""
    now = np.zeros(int(before.max(initial=0)) + 1, np.int32)
    now[before] = np.arange(len(before), dtype=np.int32)
    now[0] = 0
    return now
