"""Choices: what users chose among their candidates later, and in which context; what a context model learns from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from belfry.dataset.arrays import Positions, stretches
from belfry.dataset.encoding.context import ContextNumbers
from belfry.dataset.history.seen_items import pair_keys
from belfry.dataset.interactions import Interactions
from belfry.ranking.base import Matrix
from belfry.ranking.context.statistics import ContextStatistics
from belfry.ranking.examples import Examples

MAX_CHOICES = 500  # of the examples of one block of users: more would tell little and cost much


@dataclass(frozen=True)
class Choices:
    """Each is one row among those of its list; lists and rows are counted in the examples that they are of."""

    lists: Positions  # [n_choices]
    rows: Positions  # [n_choices] the row that was chosen
    asked: ContextNumbers  # [n_choices] by column
    computed: Matrix  # [n_columns * 3, sum of the lengths of the lists] of the rows of one choice after another

    def __len__(self) -> int:
        return len(self.lists)

    def behind(self, n_lists: int, n_rows: int) -> "Choices":
        """The same, of examples that stand behind others."""
        return replace(self, lists=self.lists + n_lists, rows=self.rows + n_rows)


def choices_of(
    examples: Examples, later: Interactions, statistics: ContextStatistics, history: Interactions, *, seed: int
) -> Choices:
    """At most `MAX_CHOICES` events of `later`, drawn at random of those whose item counts above 0 in the user's list.

    Args:
        examples: of different users, by what `history` holds; `statistics` are of it too.
    """
    lists = examples.lists
    events = later.select(np.isin(later.user_num, lists.users))
    of_rows = pair_keys(np.repeat(lists.users, lists.lengths), lists.items)
    order = np.argsort(of_rows)
    wanted = pair_keys(events.user_num, events.item_num)
    place = order[np.minimum(np.searchsorted(of_rows, wanted, sorter=order), len(order) - 1)] if len(order) else order
    known = np.any([column.numbers > 0 for column in events.context.values()], axis=0)
    is_chosen = (of_rows[place] == wanted) & (examples.labels[place] > 0) & known
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(is_chosen))[:MAX_CHOICES]
    rows, of_list = place[chosen], lists.row_list[place[chosen]]
    asked = {name: column.numbers[chosen] for name, column in events.context.items()}
    counts = lists.lengths[of_list]
    all_rows, row_list = stretches(lists.starts[of_list], counts), np.repeat(np.arange(len(chosen)), counts)
    computed = statistics.compute(asked, lists.users[of_list], row_list, lists.items[all_rows], history)
    return Choices(of_list, rows, asked, computed)


def join_choices(parts: list[Choices]) -> Choices:
    """All of them; there is at least one part."""
    asked: Mapping[str, list[np.ndarray]] = {name: [part.asked[name] for part in parts] for name in parts[0].asked}
    return Choices(
        np.concatenate([part.lists for part in parts]),
        np.concatenate([part.rows for part in parts]),
        {name: np.concatenate(numbers) for name, numbers in asked.items()},
        np.concatenate([part.computed for part in parts], axis=1),
    )
