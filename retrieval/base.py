"""The protocols of the first stage; structural, so a model need not import them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums
from belfry.layers.model import Progress
from belfry.layers.saved.files import ReadablePath

Embeddings: TypeAlias = npt.NDArray[np.float32]  # [n, embedding_size]


class Towers(Protocol):
    """Two encoders into one space, where the dot product says how well an item fits a user."""

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size]; number 0 is an unknown user and gets a vector too."""
        ...

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size]."""
        ...


class Retriever(Protocol):
    """The first stage as a whole: never a seen item, and fewer than `top_k` rather than filler."""

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """Each user's best `top_k` items; `only`, where given, are the items to choose from."""
        ...


class TowerModel(Towers, Protocol):
    """Towers in training form; `belfry.retrieval.neural_towers.NeuralTowers.fit` says what the arguments mean."""

    @property
    def epochs_trained(self) -> int:
        """Of the last fit; 0 where training knows no epochs."""
        ...

    def check(self, history: Interactions, features: FeatureTables) -> None: ...

    def fit(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        seed: int,
        validate: Callable[[Towers], float] | None = None,
        epochs: int | None = None,
        progress: Progress = ...,
    ) -> Self: ...

    def save(self, directory: Path) -> None: ...

    def export(self, directory: Path, features: FeatureTables) -> None: ...


@dataclass(frozen=True)
class EarlierWeights:
    """What `TowerModel.save` wrote when items had other numbers."""

    folder: ReadablePath
    rows: Numbers  # [n_items + 1] the number that each item had; 0 for those that the weights learned nothing of


class WarmTowers(TowerModel, Protocol):
    """Towers that can go on from earlier weights."""

    def train_on(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        earlier: EarlierWeights,
        seed: int,
        progress: Progress = ...,
    ) -> Self: ...


class NewItemTowers(TowerModel, Protocol):
    """Towers that place items without watches by their features."""

    def shift_new_items(self, offsets: npt.NDArray[np.float32]) -> None:
        """Add `offsets` [n_items + 1] to all scores of these items, after `fit`."""
        ...


class RetrieverModel(Retriever, Protocol):
    """A system without vectors that trains; what it saves is its serving form, which needs no TensorFlow to load."""

    def check(self, history: Interactions, features: FeatureTables) -> None: ...

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self: ...

    def save(self, directory: Path) -> None: ...
