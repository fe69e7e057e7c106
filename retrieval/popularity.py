"""Popularity: what most people watch. The baseline, and the answer for users without a history."""

from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from dataset.candidates import Candidates
from dataset.errors import InputError
from dataset.features import FeatureTables
from dataset.interactions import Interactions, SeenItems
from dataset.vocabulary import UNKNOWN, Numbers
from retrieval.dense import ScoreTable, blocks, masked_candidates, stack, top_candidates

Watches: TypeAlias = npt.NDArray[np.float64]

SECONDS_PER_DAY = 86_400
A_TRACE = 1e-6  # of a watch: keeps the log of none finite, and below all that were watched


class PopularityConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["popularity"] = "popularity"
    half_life_days: float | None = Field(
        None, gt=0, description="a watch counts half after so many days before the newest one; none: all count alike"
    )
    segment_smoothing: float | None = Field(
        None,
        gt=0,
        description="watches of an item that a group of users must add before its own taste weighs as much as "
        "everybody's; none: users are not told apart",
    )
    max_groups: int = Field(
        100, ge=1, description="user columns of more categories are left out: their groups are too small to speak"
    )


class Popularity:
    """Items by how many watches they have, recent ones weighing more where the config says so.

    Items never watched come last, at score 0. Without times in the history every watch counts alike.

    With `segment_smoothing`, and where users have categorical features, the score is the log of the item's watches
    and, for each of those features, of how many times oftener the user's group watches it than all do, drawn towards 0
    where the item has few watches. User number 0, of whom nothing is known, gets everybody's order.
    """

    def __init__(self, config: PopularityConfig | None = None) -> None:
        self.config = config or PopularityConfig()
        self._score: npt.NDArray[np.float32] | None = None  # [n_items + 1]
        self._order = self._place = np.zeros(0, np.int64)  # item numbers, best first; where each stands among them
        self._lifts: dict[str, ScoreTable] = {}  # user column -> [n_groups, n_items + 1]

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Everything will do; without times all watches count alike."""

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        """Counts, and those of each group in `features.users`; `seed` plays no part."""
        weights = watch_weights(history, self.config.half_life_days)
        score = _sum_by(history.item_num, weights, len(history.items) + 1)
        smoothing = self.config.segment_smoothing
        self._lifts = {}
        if smoothing is not None:
            for name, group_of in features.users.categorical.items():
                n_groups = features.users.sizes[name]
                if n_groups <= self.config.max_groups + 1:  # one more: group 0, the unknown
                    cells = group_of[history.user_num].astype(np.int64) * len(score) + history.item_num
                    counts = _sum_by(cells, weights, n_groups * len(score)).reshape(n_groups, -1)
                    self._lifts[name] = _log_lifts(counts, score, smoothing)
        self._take(np.log(score + A_TRACE) if self._lifts else score)
        return self

    def retrieve(self, users: Numbers, features: FeatureTables, *, top_k: int, exclude: SeenItems) -> Candidates:
        if self._lifts:
            return self._retrieve_by_group(users, features, top_k, exclude)
        score = self._fitted()
        n_seen = exclude.count(users)
        width = min(len(self._order), top_k + int(n_seen.max(initial=0)))  # nobody needs more of the order than that
        parts = []
        for block in blocks(len(users), width):
            kept = np.ones((block.stop - block.start, width), np.bool_)
            rows, items = exclude.rows_of(users[block])
            place = self._place[items]
            kept[rows[place < width], place[place < width]] = False
            kept &= np.cumsum(kept, axis=1) <= top_k
            item_num = np.broadcast_to(self._order[:width], kept.shape)
            parts.append(masked_candidates(users[block], item_num, score[item_num], kept, top_k, "popularity"))
        return stack(parts)

    def _retrieve_by_group(self, users: Numbers, features: FeatureTables, top_k: int, exclude: SeenItems) -> Candidates:
        everybody = self._fitted()
        parts = []
        for block in blocks(len(users), len(everybody)):
            scores = np.tile(everybody, (block.stop - block.start, 1))
            for name, lifts in self._lifts.items():
                scores += lifts[features.users.categorical[name][users[block]]]
            parts.append(top_candidates(users[block], scores, exclude, top_k, "popularity"))
        return stack(parts)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(self.config.model_dump_json(indent=2))
        arrays = {"score": self._fitted()} | {f"lifts/{name}": lifts for name, lifts in self._lifts.items()}
        np.savez(directory / "scores.npz", **arrays)  # type: ignore[arg-type]  # the stub takes one for allow_pickle

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = cls(PopularityConfig.model_validate_json((directory / "config.json").read_bytes()))
        with np.load(directory / "scores.npz") as arrays:
            model._take(arrays["score"])
            model._lifts = {key.partition("/")[2]: arrays[key] for key in arrays.files if key != "score"}
        return model

    def _take(self, score: npt.NDArray[np.floating]) -> None:
        self._score = score.astype(np.float32)
        self._order = 1 + np.argsort(-self._score[1:], kind="stable")
        self._place = np.zeros(len(score), np.int64)
        self._place[self._order] = np.arange(len(self._order))

    def _fitted(self) -> npt.NDArray[np.float32]:
        if self._score is None:
            raise InputError("popularity: not fitted; call fit() or load() first")
        return self._score


def watch_weights(history: Interactions, half_life_days: float | None) -> Watches:
    """[n_events] weight of each watch: 1 for the newest, half of it for each half-life before."""
    if half_life_days is None or history.timestamp_s is None or len(history) == 0:
        return np.ones(len(history))
    age_s = history.timestamp_s.max() - history.timestamp_s
    weights: Watches = np.exp2(-age_s / (half_life_days * SECONDS_PER_DAY))
    return weights


def _sum_by(numbers: npt.NDArray[np.integer], weights: Watches, n: int) -> Watches:
    """[n] sum of the weights of each number."""
    return np.asarray(np.bincount(numbers, weights, minlength=n), np.float64)


def _log_lifts(counts: Watches, all_counts: Watches, smoothing: float) -> ScoreTable:
    """[n_groups, n_items + 1] log of each group's watches over those it would have with everybody's taste.

    Args:
        counts: [n_groups, n_items + 1] watches by group; group 0 is the unknown and gets 0.
        all_counts: [n_items + 1].
        smoothing: watches added to both.
    """
    expected = np.outer(counts.sum(axis=1), all_counts / max(all_counts.sum(), 1))
    lifts = np.log((counts + smoothing) / (expected + smoothing)).astype(np.float32)
    lifts[UNKNOWN] = 0
    return lifts
