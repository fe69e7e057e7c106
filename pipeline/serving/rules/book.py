"""RuleBook: the rules that a run was asked for, held against its items once each."""

from collections.abc import Callable

import pyarrow as pa

from belfry.dataset.interactions import Interactions
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.serving.ids import IdReader
from belfry.pipeline.serving.rules.bound import BoundRules, Catalogue
from belfry.pipeline.serving.rules.config import RulesLike, rules_of
from belfry.pipeline.serving.rules.item_columns import ITEM_COLUMNS, ItemColumns, load_item_columns
from belfry.pipeline.serving.rules.terms import Gains

_KEPT = 64  # rules; a mask of the items for each


class RuleBook:
    """Safe to ask from many threads: at worst two of them work out the same rules."""

    def __init__(
        self,
        run: Run,
        ids: IdReader,
        history: Interactions,
        titles: pa.Array,
        directions: Callable[[], Gains],
        *,
        expects_ratings: bool,
    ) -> None:
        """That of a run, whose items `ids` reads; their columns are read when a rule asks for one."""
        items = history.items
        columns = ItemColumns(items, titles, lambda: load_item_columns(run.root / ITEM_COLUMNS, len(items)))
        self._catalogue = Catalogue(run.name, columns, ids, history, directions, expects_ratings)
        self._bound: dict[str, BoundRules] = {}

    def bound(self, rules: RulesLike | None, where: str | None = None) -> BoundRules | None:
        """What a call asks for, in any of its forms; None for no rules.

        Raises:
            InputError: the rules cannot be read, do not fit the items, or contradict each other.
        """
        found = rules_of(rules, where)
        if found is None:
            return None
        bound = self._bound.get(found.key)
        if bound is None:
            bound = BoundRules.of(found, self._catalogue)
            self._bound = {**dict(list(self._bound.items())[1 - _KEPT :]), found.key: bound}
        return bound
