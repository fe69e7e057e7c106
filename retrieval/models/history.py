"""History: what a user had often and lately, as candidates for once more."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.own_items import own_items
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.model import ArrayModel
from belfry.layers.saved.array_check import ArrayForms


class HistoryConfig(ModelConfig):
    kind: Literal["history"] = "history"
    decay: float = Field(
        0.5,
        ge=0,
        description="each time an item was seen counts (1 + events since)^-this: 0 counts the times, more favours the "
        "latest",
    )


class History(ArrayModel[HistoryConfig]):
    """score(u, i) = log(1 + activation) of each item that u has seen; see `belfry.dataset.history.own_items`.

    It proposes seen items alone, so where they are all kept out it proposes nothing. There is nothing to learn: lists
    follow the history as it is when asked.
    """

    config_type = HistoryConfig
    array_forms: ClassVar[ArrayForms] = {}

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Any data will do."""

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        """Nothing is kept."""
        self._learned = {}
        return self

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """Lists by `features.history`."""
        assert self.learned is not None
        own = own_items(features.history, users, decay=self.config.decay)
        kept = ~exclude.contains(users[own.row_user], own.item_num)
        if only is not None:
            kept &= np.isin(own.item_num, only)
        score = np.log1p(own.activation[kept]).astype(np.float32)
        return take_top_k(users, own.row_user[kept], own.item_num[kept], score, top_k=top_k, origin="history")
