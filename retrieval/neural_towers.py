"""NeuralTowers: what towers made of a Keras model share; each family fills in its network and its epochs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, keras
from belfry.layers.config import ModelConfig
from belfry.layers.training import train_epochs
from belfry.layers.weights import WEIGHTS_FILE, load_weights, save_weights
from belfry.retrieval.base import Embeddings, Towers

CONFIG_FILE = "config.json"

ConfigT = TypeVar("ConfigT", bound=ModelConfig)
NetworkT = TypeVar("NetworkT")  # a keras.Model, which ships no types


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained on one history."""

    run_epoch: Callable[[], Iterable[Tensor]]  # one pass; gives the loss of each step
    n_epochs: int  # at most
    evaluate_every: int = 1  # epochs between evaluations by `validate`
    patience: int = 1  # evaluations without a gain before training stops
    loss_limit: float = np.inf


class NeuralTowers(ABC, Generic[ConfigT, NetworkT]):
    """Towers whose weights are one Keras model: `fit`, `save`, `load`, and the refusal to read before."""

    config_type: ClassVar[type[ModelConfig]]
    name: ClassVar[str]

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self.epochs_trained = 0
        self._fitted: NetworkT | None = None

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse data that this system cannot learn from.

        Raises:
            InputError: names the column that is missing or the limit that is passed.
        """

    def fit(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        seed: int,
        validate: Callable[[Towers], float] | None = None,
        epochs: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Self:
        """Train from nothing and return itself.

        Args:
            history: events to learn from; `features` belong to the same moment.
            validate: higher is better; evaluated during training, the best weights are kept. Without it training runs
                to its end.
            epochs: stop after this many, on the same learning-rate schedule; `epochs_trained` of an earlier fit.
            progress: told of (epochs done, epochs at most).

        Raises:
            InputError: the data cannot be learned from, see `check`.
            DivergenceError: the loss is not finite, or many times that of guessing.
        """
        self.check(history, features)
        keras.utils.set_random_seed(seed)
        self._fitted = self._make_network(features)
        plan = self._plan(history, features, np.random.default_rng(seed))
        self.epochs_trained = train_epochs(
            self._fitted,
            plan.run_epoch,
            name=self.name,
            n_epochs=min(epochs or plan.n_epochs, plan.n_epochs),
            loss_limit=plan.loss_limit,
            validate=None if validate is None else lambda: validate(self),
            evaluate_every=plan.evaluate_every,
            patience=plan.patience,
            progress=progress,
        )
        self._impute_cold_items(features)
        return self

    @abstractmethod
    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, dim]; number 0 is an unknown user and gets a vector too."""

    @abstractmethod
    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, dim]."""

    @abstractmethod
    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query side in its serving form, `QUERY_TOWER_FILE`; `OnnxTowers` makes its inputs."""

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG_FILE).write_text(self.config.model_dump_json(indent=2))
        save_weights(self._network, directory / WEIGHTS_FILE)

    @classmethod
    def load(cls, directory: Path, features: FeatureTables) -> Self:
        """What `save` wrote: built from its config, then filled with weights; `features` give the shapes."""
        model = cls(cls.config_type.model_validate_json((directory / CONFIG_FILE).read_bytes()))  # type: ignore[arg-type]
        model._fitted = model._make_network(features)
        load_weights(model._fitted, directory / WEIGHTS_FILE)
        return model

    @abstractmethod
    def _make_network(self, features: FeatureTables) -> NetworkT:
        """The Keras model with all of its weights built, of random values."""

    @abstractmethod
    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        """Epochs over this history for `_network`, which is fresh."""

    def _impute_cold_items(self, features: FeatureTables) -> None:
        """Give items without watches what their features suggest, where the network knows features; after training."""

    @property
    def _network(self) -> NetworkT:
        if self._fitted is None:
            raise InputError(f"{self.name}: not fitted; call fit() or load() first")
        return self._fitted
