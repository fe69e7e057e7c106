"""BoundRules: rules held against the items of one run, worked out once and asked by every call."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.dataset.candidates import Candidates
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import InputError, printable
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums
from belfry.pipeline.serving.ids import IdReader
from belfry.pipeline.serving.rules.config import MAX_PLACES, Freshness, Rules
from belfry.pipeline.serving.rules.floors import Floor, part_where
from belfry.pipeline.serving.rules.grammar import Expression
from belfry.pipeline.serving.rules.item_columns import ItemColumns, LabelColumn, NumberColumn
from belfry.pipeline.serving.rules.select import Pool, Quota, select
from belfry.pipeline.serving.rules.terms import (
    Calibrated,
    DeterminantalProcess,
    Gains,
    MaximalMarginalRelevance,
    MaxSum,
    Term,
)
from belfry.pipeline.serving.rules.where import items_that

MAX_LABELS = 200  # of a column that lists are calibrated or made different by: each candidate has a number for each

DIVERSITIES: dict[str, Callable[[Gains, ItemNums, int], Term]] = {
    "sum": MaxSum,
    "mmr": MaximalMarginalRelevance,
    "dpp": DeterminantalProcess,
}

_PER_PLACE = 4  # candidates that are looked at at first, for each place of a list with a floor
_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Catalogue:
    """What rules are held against."""

    run: str
    columns: ItemColumns
    ids: IdReader  # of the items
    history: Interactions
    directions: Callable[[], Gains]  # [n_items + 1, dim] of each item's vector, of unit length
    expects_ratings: bool  # whether a model of the run does


@dataclass(frozen=True)
class BoundRules:
    """Rules of one run."""

    rules: Rules
    catalogue: Catalogue
    is_allowed: Mask  # [n_items + 1] but for what is not available
    opens: NumberColumn | None  # UTC seconds
    closes: NumberColumn | None
    pins: tuple[tuple[int, int], ...]  # place, item number; places rise
    quotas: tuple[tuple[LabelColumn, int], ...]
    freshness: Gains | None  # [n_items + 1]
    shares: Gains | None  # [n_items + 1, n_labels] of the labels of an item, which lists are calibrated by
    labelled: Gains | None  # [n_items + 1, n_labels] of unit length, by which items are alike
    floors: tuple[Floor, ...]  # of the ratings that are expected

    @classmethod
    def of(cls, rules: Rules, catalogue: Catalogue) -> Self:
        """Raises InputError: a rule asks for what the items have not, or two contradict each other."""
        columns = catalogue.columns
        where, floors = part_where(rules, columns, catalogue.run, expects_ratings=catalogue.expects_ratings)
        is_allowed = _allowed(rules, where, catalogue)
        quotas = tuple((columns.labels(name, "at_most"), k) for name, k in rules.at_most.items())
        pins = _pins(rules, catalogue, is_allowed, quotas)
        names = (("available_from", rules.available_from), ("available_until", rules.available_until))
        opens, closes = (None if name is None else columns.times(name, rule) for rule, name in names)
        freshness = None if rules.freshness is None else _freshness(rules.freshness, catalogue, is_allowed)
        shares = None if rules.calibration is None else _shares(columns, rules.calibration.column, "calibration")
        by = None if rules.diversity is None else rules.diversity.column
        labelled = None if by is None else _unit_length(_shares(columns, by, "diversity"))
        return cls(rules, catalogue, is_allowed, opens, closes, pins, quotas, freshness, shares, labelled, floors)

    def allowed(self) -> Mask:
        """[n_items + 1] what may be listed now; not to be changed."""
        if self.opens is None and self.closes is None:
            return self.is_allowed
        now_s = time.time() if self.rules.now is None else self.rules.now.timestamp()
        allowed = self.is_allowed.copy()
        if self.opens is not None:
            allowed &= (self.opens.values <= now_s) | self.opens.missing
        if self.closes is not None:
            allowed &= (self.closes.values > now_s) | self.closes.missing
        return allowed

    def check_length(self, n: int) -> None:
        """Raises InputError: a list is longer than what is put in another order."""
        if self.chooses and n > MAX_PLACES:
            raise InputError(
                f"n={n:,}: lists that rules put in another order have at most {MAX_PLACES:,} places; ask for fewer, or "
                "leave out freshness, diversity, calibration, explore, at_most, pinned and floors"
            )

    def depth(self, n: int) -> int:
        """Candidates of a list of `n` that there should be at first."""
        deep = max(n, self._weighed(n)) if self.rules.reorders else n
        return max(deep, self.rules.depth, _PER_PLACE * n) if self.floors else deep

    @property
    def chooses(self) -> bool:
        """Whether lists are more than what may be listed, in the order of the stages."""
        return self.rules.reorders or bool(self.floors)

    def _weighed(self, n: int) -> int:
        """Candidates of a list of `n` that the rules choose from; where some are drawn, twice the list at least."""
        return max(self.rules.depth, 2 * n if self.rules.explore else 0)

    def most(self, allowed: Mask) -> int:
        """Items that a list can hold at most, for each label has its number."""
        most = int(allowed.sum())
        for column, k in self.quotas:
            there = np.bincount(column.codes[allowed[column.item_num]], minlength=len(column.labels))
            most = min(most, int(np.minimum(there, k).sum()) + int((allowed & column.missing).sum()))
        return most

    def reordered(
        self, lists: Candidates, n: int, *, allowed: Mask, exclude: SeenItems, history: Interactions
    ) -> Candidates:
        """At most `n` of each list, in the order that the rules make of it.

        Args:
            lists: of allowed items alone, in the order of the stages.
            exclude: what each user must not get again, pinned or not.
            history: of the users, whose numbers are those of `lists`.
        """
        items, users = np.array([item for _, item in self.pins], np.int32), lists.users
        may_show = np.broadcast_to(allowed[items], (len(users), len(items))).copy()
        if len(items):
            may_show &= ~exclude.contains(*np.broadcast_arrays(users[:, None], items[None]))
        pool = Pool.of(lists, self.pins, may_show)
        quotas = [Quota(column, k, pool) for column, k in self.quotas]
        boost, terms = self._boost(pool), self._terms(pool, history, n)
        depth, explore = self._weighed(n), self.rules.explore
        return select(pool, n, depth=depth, boost=boost, terms=terms, quotas=quotas, explore=explore)

    def _boost(self, pool: Pool) -> Gains | None:
        """[n_lists, n_candidates + n_pins] of items that are new."""
        if self.rules.freshness is None or self.freshness is None:
            return None
        return _odds(self.rules.freshness.weight) * self.freshness[pool.item_num]

    def _terms(self, pool: Pool, history: Interactions, n: int) -> list[tuple[float, Term]]:
        found: list[tuple[float, Term]] = []
        diversity, calibration = self.rules.diversity, self.rules.calibration
        if diversity is not None:
            found.append((_odds(diversity.weight), DIVERSITIES[diversity.method](self._directions, pool.item_num, n)))
        if calibration is not None and self.shares is not None:
            of_history = _of_histories(self.shares, history.seen_items, pool.lists)
            found.append((_odds(calibration.weight), Calibrated(self.shares, of_history, pool.item_num, n)))
        return found

    @cached_property
    def _directions(self) -> Gains:
        """[n_items + 1, dim] of unit length, or 0."""
        return self.catalogue.directions() if self.labelled is None else self.labelled

    def why_fewer(self) -> str:
        """What a list that is shorter than asked for may be short of."""
        allowed = self.allowed()
        words = [f"{int(allowed.sum()):,} of {len(allowed) - 1:,} items may be listed"]
        words += [f"at most {k} of each label of {printable(repr(name), 40)}" for name, k in self.rules.at_most.items()]
        words += [f"to each user by {floor} alone" for floor in self.floors]
        return ", ".join(words)


def _allowed(rules: Rules, where: Expression | None, catalogue: Catalogue) -> Mask:
    allowed = np.ones(len(catalogue.ids.vocabulary) + 1, np.bool_)
    if rules.allow is not None:
        allowed[:] = False
        allowed[numbers := catalogue.ids.numbers(rules.allow, "allow")] = True
        if not len(numbers):
            raise InputError(f"allow: none of its {len(rules.allow):,} ids is in the catalogue of run {catalogue.run}")
    if where is not None:
        allowed &= items_that(where, catalogue.columns)
    allowed[catalogue.ids.numbers(rules.deny, "deny")] = False
    allowed[UNKNOWN] = False
    return allowed


def _pins(
    rules: Rules, catalogue: Catalogue, is_allowed: Mask, quotas: tuple[tuple[LabelColumn, int], ...]
) -> tuple[tuple[int, int], ...]:
    pins = []
    for pin in rules.pinned:
        number, shown = catalogue.ids.number(pin.item_id, "pinned"), printable(repr(pin.item_id), 60)
        if number == UNKNOWN:
            raise InputError(f"pinned: item {shown} is not in the catalogue of run {catalogue.run}; leave it out")
        if not is_allowed[number]:
            raise InputError(f"pinned {shown} and where contradict each other: it is not among what where keeps")
        pins.append((pin.place, number))
    items = np.array([number for _, number in pins], np.int32)
    for (name, k), (column, _) in zip(rules.at_most.items(), quotas, strict=True):
        codes = column.codes[np.isin(column.item_num, items)]
        if len(codes) and (counts := np.bincount(codes)).max() > k:
            label = printable(column.labels[int(counts.argmax())], 40)
            raise InputError(
                f"pinned and at_most contradict each other: {counts.max()} pinned items have {label!r} in {name!r}, "
                f"at_most allows {k}"
            )
    return tuple(sorted(pins))


def _odds(weight: float) -> float:
    """What stands in front of a gain: relevance has the rest of the weight."""
    return weight / (1 - weight)


def _freshness(freshness: Freshness, catalogue: Catalogue, is_allowed: Mask) -> Gains:
    """[n_items + 1] 0.5^(age / half life), 0 where an age is not known."""
    name, half_life, columns = freshness.column, freshness.half_life, catalogue.columns
    if name is None:
        column = _first_events(catalogue.history)
    elif isinstance(columns.column(name, "freshness"), NumberColumn):
        column = columns.numbers(name, "freshness")
    else:
        times = columns.times(name, "freshness")
        column = NumberColumn(times.values / _SECONDS_PER_DAY, times.missing)
    counts = is_allowed & ~column.missing
    values = column.values.astype(np.float64)
    age = values[counts].max(initial=-np.inf) - values
    with np.errstate(over="ignore", under="ignore"):
        return np.where(counts, 0.5 ** (np.maximum(age, 0) / half_life), 0).astype(np.float32)


def _first_events(history: Interactions) -> NumberColumn:
    """Days of each item's first event."""
    if history.timestamp_s is None:
        raise InputError("freshness: the history has no times; name a column of the items, such as column = 'year'")
    first = np.full(len(history.items) + 1, np.inf)
    np.minimum.at(first, history.item_num, history.timestamp_s)
    return NumberColumn(np.where(np.isinf(first), 0, first) / _SECONDS_PER_DAY, np.isinf(first))


def _shares(columns: ItemColumns, name: str, rule: str) -> Gains:
    """[n_items + 1, n_labels] rows summing to 1, or 0 where an item has no label."""
    column = columns.labels(name, rule)
    if len(column.labels) > MAX_LABELS:
        raise InputError(
            f"{rule}: column {name!r} has {len(column.labels):,} labels, {MAX_LABELS} at most; name one of kinds, such "
            "as genres"
        )
    shares = np.zeros((len(column.missing), max(1, len(column.labels))), np.float32)
    shares[column.item_num, column.codes] = 1
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1))


def _unit_length(rows: Gains) -> Gains:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-9)))


def _of_histories(shares: Gains, seen: SeenItems, lists: Candidates) -> Gains:
    """[n_lists, n_labels] shares of the labels in what each user has watched, summing to 1, or 0."""
    row, item = seen.rows_of(lists.users)
    known = lists.users[row] != UNKNOWN
    sums = np.zeros((len(lists.users), shares.shape[1]), np.float32)
    np.add.at(sums, row[known], shares[item[known]])
    return np.asarray(sums / np.maximum(sums.sum(axis=1, keepdims=True), np.float32(1e-9)))
