"""Popularity: items by their watches. The baseline, and the answer for users without a history."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from belfry.dataset.arrays import Positions
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.model import Model
from belfry.layers.saved.array_check import check_arrays, numbers
from belfry.layers.saved.files import ReadablePath, read_arrays, write_arrays
from belfry.retrieval.dense import Scores, best_columns
from belfry.retrieval.unseen import first_unseen

Kind: TypeAlias = tuple[int, ...]  # of users: their group by each column
Watches: TypeAlias = npt.NDArray[np.float64]

SCORES_FILE = "scores.npz"
SECONDS_PER_DAY = 86_400
EPSILON = 1e-6  # watches: added so that the log of 0 is finite, and below that of any watched item

SHORTEST_ORDER = 1024  # places; a longer list makes its order anew
MOST_PLACES_KEPT = 1 << 22  # of all orders together: 32 MiB


class PopularityConfig(ModelConfig):
    kind: Literal["popularity"] = "popularity"
    half_life_days: float | None = Field(
        None, gt=0, description="a watch counts half after so many days before the newest one; none: all count alike"
    )
    activity_damping: float = Field(
        0,
        ge=0,
        le=1,
        description="each watch of a user with n of them counts n^-this: 0 counts watches, 1 gives every user one "
        "vote; between, the few who watch everything decide less",
    )
    segment_smoothing: float | None = Field(
        None,
        gt=0,
        description="watches of an item that a group of users must have before they weigh as much as everybody's; "
        "none: one order for all users",
    )
    max_groups: int = Field(
        100, ge=1, description="user columns of more categories are left out: their groups are too small"
    )


@dataclass(frozen=True)
class Order:
    """Items of the highest scores for users of the same groups, best first."""

    item_num: ItemNums  # [n]
    score: Scores  # [n]


@dataclass(frozen=True)
class PopularityScores:
    """What `Popularity` learns."""

    common: Scores  # [n_items + 1] w(item), or its logarithm where there are lifts
    lifts: dict[str, Scores]  # user column -> [n_groups, n_items + 1] the terms of the sum
    orders: dict[Kind, Order] = field(default_factory=dict)  # those made since, to be used again


class Popularity(Model[PopularityConfig, PopularityScores]):
    """Items by the sum of the weights of their watches, which `watch_weights` gives. Items never watched come last.

    With `segment_smoothing`, and where users have categorical features, users of different groups get different orders:

        score(user, item) = log(w(item)) + sum over features f of log((w(g_f, item) + s) / (e(g_f, item) + s))

    w(item) sums the weights of the item's watches, w(g, item) those by group g, and g_f is the user's group by feature
    f. e(g, item) = w(g) * w(item) / w is what the group's watches would be if it watched as everybody does, and s is
    `segment_smoothing`. User number 0 is in no group and gets the common order.
    """

    config_type = PopularityConfig

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a half-life without times. `fit` does not ask: cold users get an answer from any data.

        Raises:
            InputError: names the column.
        """
        if self.config.half_life_days is not None and history.timestamp_s is None:
            raise InputError(
                "popularity: half_life_days needs a timestamp_s column in the interactions; set half_life_days to none"
            )

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        """Counts, and those of each group in `features.users`; `seed` plays no part."""
        weights = watch_weights(history, self.config)
        score = _sum_by(history.item_num, weights, len(history.items) + 1)
        smoothing = self.config.segment_smoothing
        lifts = {}
        if smoothing is not None:
            for name, group_of in features.users.categorical.items():
                n_groups = features.users.sizes[name]
                if n_groups <= self.config.max_groups + 1:  # one more: group 0, the unknown
                    cells = group_of[history.user_num].astype(np.int64) * len(score) + history.item_num
                    counts = _sum_by(cells, weights, n_groups * len(score)).reshape(n_groups, -1)
                    lifts[name] = _log_lifts(counts, score, smoothing)
        common = (np.log(score + EPSILON) if lifts else score).astype(np.float32)
        self._learned = PopularityScores(common, lifts)
        return self

    def check_fits(self, features: FeatureTables) -> None:
        """Raises ArtifactError: the scores are of other items or groups."""
        users, width = features.users, len(features.history.items) + 1
        shapes = {name: (users.sizes.get(name), width) for name in self.learned.lifts if name in users.categorical}
        if self.learned.common.shape != (width,) or any(
            table.shape != shapes.get(name) for name, table in self.learned.lifts.items()
        ):
            raise ArtifactError(f"popularity: {SCORES_FILE} is of other items or groups than the run has; train again")

    @property
    def tells_users_apart(self) -> bool:
        """Whether groups of users have orders of their own; scores are then logarithms."""
        return bool(self.learned.lifts)

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """Each order is made once, and kept: users of the same groups share it.

        Raises:
            ArtifactError: as `check_fits`.
        """
        self.check_fits(features)
        groups = np.zeros((len(users), len(self.learned.lifts)), np.int32)
        for column, name in enumerate(self.learned.lifts):
            groups[:, column] = features.users.categorical[name][users]
        kinds = list(map(tuple, groups.tolist()))

        def best(asked: Positions, depth: int) -> tuple[ItemNums, Scores]:
            item_num, score = np.empty((len(asked), depth), np.int32), np.empty((len(asked), depth), np.float32)
            for row, position in enumerate(asked.tolist()):
                order = self._order(kinds[position], depth)
                item_num[row], score[row] = order.item_num[:depth], order.score[:depth]
            return item_num, score

        n_items = len(self.learned.common) - 1
        return first_unseen(best, users, exclude, n_items=n_items, top_k=top_k, origin="popularity", only=only)

    def parts(self, user: int, items: ItemNums, features: FeatureTables) -> dict[str | None, Scores]:
        """The parts of the score, each [n_items]: log w(item) under None, and each feature's term under its column.

        Where users are told apart the score is their sum.
        """
        lifts, score = self.learned.lifts, self.learned.common[items]
        common = score if lifts else np.log(score + np.float32(EPSILON))
        parts: dict[str | None, Scores] = {None: common}
        for name, table in lifts.items():
            parts[name] = table[features.users.categorical[name][user], items]
        return parts

    def _order(self, kind: Kind, depth: int) -> "Order":
        """At least the `depth` best items for users of these groups."""
        orders, n_items = self.learned.orders, len(self.learned.common) - 1
        known = orders.get(kind)
        if known is None or len(known.item_num) < depth:
            width = min(n_items, max(SHORTEST_ORDER, 2 * depth))
            scores = self.learned.common.copy()
            for group, lifts in zip(kind, self.learned.lifts.values(), strict=True):
                scores += lifts[group]
            item_num = 1 + best_columns(scores[None, 1:], width)[0]
            known = Order(item_num.astype(np.int32), scores[item_num])
            if len(orders) >= MOST_PLACES_KEPT // width:
                orders.clear()
            orders[kind] = known
        return known

    def save(self, directory: Path) -> None:
        super().save(directory)
        arrays = {f"lifts/{name}": lifts for name, lifts in self.learned.lifts.items()}
        write_arrays(directory / SCORES_FILE, {"score": self.learned.common, **arrays})

    @classmethod
    def load(cls, directory: ReadablePath) -> Self:
        """Raises ArtifactError: an array is of another form."""
        model = cls._of_saved_config(directory)
        arrays = read_arrays(directory / SCORES_FILE)
        lifts = {name: numbers(f"groups by {name}", "n_items + 1") for name in arrays if name.startswith("lifts/")}
        check_arrays(directory / SCORES_FILE, arrays, {"score": numbers("n_items + 1")} | lifts)
        model._learned = PopularityScores(arrays["score"], {key.partition("/")[2]: arrays[key] for key in lifts})
        return model


def watch_weights(history: Interactions, config: PopularityConfig) -> Watches:
    """[n_events] how much each watch counts: its `damped_weight` * 2 ** (-age / half-life) * n_u ** -activity_damping.

    n_u is the number of watches of its user. Without times, or without a half-life, a watch does not age.
    """
    weights = np.ones(len(history)) if history.damped_weight is None else history.damped_weight.astype(np.float64)
    if config.half_life_days is not None and history.timestamp_s is not None and len(history):
        age_s = history.timestamp_s.max() - history.timestamp_s
        weights *= np.exp2(-age_s / (config.half_life_days * SECONDS_PER_DAY))
    if config.activity_damping:
        weights *= np.bincount(history.user_num)[history.user_num] ** -config.activity_damping
    return weights


def _sum_by(numbers: npt.NDArray[np.integer], weights: Watches, n: int) -> Watches:
    """[n] sum of the weights of each number."""
    return np.asarray(np.bincount(numbers, weights, minlength=n), np.float64)


def _log_lifts(counts: Watches, all_counts: Watches, smoothing: float) -> Scores:
    """[n_groups, n_items + 1] log((counts + s) / (expected + s)), as in `Popularity`.

    Args:
        counts: [n_groups, n_items + 1] watches by group; group 0 is the unknown one, whose lifts are 0.
        all_counts: [n_items + 1].
        smoothing: s.
    """
    expected = np.outer(counts.sum(axis=1), all_counts / max(all_counts.sum(), 1))
    lifts = np.log((counts + smoothing) / (expected + smoothing)).astype(np.float32)
    lifts[UNKNOWN] = 0
    return lifts
