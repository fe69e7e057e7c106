"""Popularity: what most people watch. The baseline, and the answer for users nothing is known of."""

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from dataset.candidates import Candidates
from dataset.errors import InputError
from dataset.features import FeatureTables
from dataset.interactions import Interactions, SeenItems
from dataset.vocabulary import Numbers
from retrieval.dense import blocks, masked_candidates, stack

SECONDS_PER_DAY = 86_400


class PopularityConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    half_life_days: float | None = Field(
        None, gt=0, description="a watch counts half after so many days before the newest one; none: all count alike"
    )


class Popularity:
    """Items by how many watches they have, recent ones weighing more where the config says so.

    Items never watched score 0 and come last. Without times in the history every watch counts alike.
    """

    def __init__(self, config: PopularityConfig | None = None) -> None:
        self.config = config or PopularityConfig()
        self._score: npt.NDArray[np.float32] | None = None  # [n_items + 1]

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        """Counts; neither `features` nor `seed` plays a part."""
        n_rows = len(history.items) + 1
        weights = watch_weights(history, self.config.half_life_days)
        self._score = np.bincount(history.item_num, weights, minlength=n_rows).astype(np.float32)
        return self

    def retrieve(self, users: Numbers, features: FeatureTables, *, top_k: int, exclude: SeenItems) -> Candidates:
        score = self._fitted()
        order = 1 + np.argsort(-score[1:], kind="stable")  # item numbers, best first
        place = np.zeros(len(score), np.int64)
        place[order] = np.arange(len(order))
        n_seen = exclude.count(users)
        width = min(len(order), top_k + int(n_seen.max(initial=0)))  # nobody needs more of the order than that
        parts = []
        for block in blocks(len(users), width):
            kept = np.ones((block.stop - block.start, width), np.bool_)
            rows, items = exclude.rows_of(users[block])
            inside = place[items] < width
            kept[rows[inside], place[items[inside]]] = False
            kept &= np.cumsum(kept, axis=1) <= top_k
            item_num = np.broadcast_to(order[:width], kept.shape)
            parts.append(masked_candidates(users[block], item_num, score[item_num], kept, top_k, "popularity"))
        return stack(parts)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(self.config.model_dump_json(indent=2))
        np.save(directory / "score.npy", self._fitted())

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = cls(PopularityConfig.model_validate_json((directory / "config.json").read_bytes()))
        model._score = np.load(directory / "score.npy")
        return model

    def _fitted(self) -> npt.NDArray[np.float32]:
        if self._score is None:
            raise InputError("popularity: not fitted; call fit() or load() first")
        return self._score


def watch_weights(history: Interactions, half_life_days: float | None) -> npt.NDArray[np.float64]:
    """[n_events] weight of each watch: 1 for the newest, half of it for each half-life before."""
    if half_life_days is None or history.timestamp_s is None or len(history) == 0:
        return np.ones(len(history))
    age_s = history.timestamp_s.max() - history.timestamp_s
    weights: npt.NDArray[np.float64] = np.exp2(-age_s / (half_life_days * SECONDS_PER_DAY))
    return weights
