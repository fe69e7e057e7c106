"""NeuralTowers: what towers made of a Keras model share; each family fills in its network and its epochs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, keras
from belfry.layers.model import CONFIG_FILE, ConfigT, Model, Progress, no_progress
from belfry.layers.saved.files import read_settings
from belfry.layers.towers.start import start_from_weights
from belfry.layers.training import train_epochs
from belfry.layers.weights import WEIGHTS_FILE, load_weights, read_weights, save_weights
from belfry.retrieval.base import EarlierWeights, Embeddings, Towers

NetworkT = TypeVar("NetworkT")  # a keras.Model, which ships no types

# Of epochs, steps and learning rate of a whole training, when towers go on from earlier weights.
WARM_LENGTH, WARM_RATE = 1 / 8, 1 / 4


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained on one history."""

    run_epoch: Callable[[], Iterable[float]]  # one pass; gives the loss of each step
    n_epochs: int  # at most
    evaluate_every: int | None = None  # epochs between evaluations by `validate`; none: all epochs are trained
    patience: int = 1  # evaluations without a gain before training stops
    loss_limit: float = np.inf
    evaluate_start: bool = False  # before the first epoch, too
    release: Callable[[], None] = lambda: None  # lets go of what only training needs


class NeuralTowers(Model[ConfigT, NetworkT], ABC):
    """Towers that learn one Keras model."""

    epochs_trained = 0

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
        progress: Progress = no_progress,
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
        self._learned, generator = self._make_network(features), np.random.default_rng(seed)
        self._start(history, generator)
        plan = self._plan(history, features, generator)
        return self._follow(plan, features, validate=validate, epochs=epochs, progress=progress)

    def train_on(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        earlier: EarlierWeights,
        seed: int,
        progress: Progress = no_progress,
    ) -> Self:
        """Go on from earlier weights, for few epochs at a small rate, and return itself.

        Items that the weights learned nothing of start near those that are watched by the same users.

        Raises:
            InputError, DivergenceError: as `fit`.
            ArtifactError: the weights are of other settings or another network, or of a kind that cannot go on.
        """
        self.check(history, features)
        config, saved = self.config, read_settings(earlier.folder / CONFIG_FILE, self.config_type)
        if saved != config:
            raise ArtifactError(f"{earlier.folder}: was trained by other settings than these; train from nothing")
        keras.utils.set_random_seed(seed)
        generator = np.random.default_rng(seed)
        brief = type(self)(config.model_copy(update=_brief(config.model_dump())))
        self._learned = brief._learned = self._make_network(features)
        weights = read_weights(self.learned, earlier.folder / WEIGHTS_FILE)
        start_from_weights(self.learned, self._of_items(), weights, earlier.rows, history, seed=seed)
        return self._follow(brief._plan(history, features, generator), features, progress=progress)

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
        super().save(directory)
        save_weights(self.learned, directory / WEIGHTS_FILE)

    @classmethod
    def load(cls, directory: Path, features: FeatureTables) -> Self:
        """What `save` wrote: built from its config, then filled with weights; `features` give the shapes."""
        model = cls._of_saved_config(directory)
        model._learned = model._make_network(features)
        load_weights(model._learned, directory / WEIGHTS_FILE)
        return model

    @abstractmethod
    def _make_network(self, features: FeatureTables) -> NetworkT:
        """The Keras model with all of its weights built, of random values."""

    def _start(self, history: Interactions, generator: np.random.Generator) -> None:
        """Give the fresh `learned` better weights than random ones, where there are any."""

    def _of_items(self) -> Sequence[Tensor]:
        """The weights of `learned` that have a row for each item; families that can go on from earlier weights."""
        raise ArtifactError(f"{self.config.kind}: cannot go on from earlier weights; train from nothing")

    @abstractmethod
    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        """Epochs over this history for `learned`, which has not seen it."""

    def _follow(
        self,
        plan: TrainingPlan,
        features: FeatureTables,
        *,
        validate: Callable[[Towers], float] | None = None,
        epochs: int | None = None,
        progress: Progress,
    ) -> Self:
        """Train `learned` by a plan; the arguments are those of `fit`."""
        self.epochs_trained, self.curve = train_epochs(
            self.learned,
            plan.run_epoch,
            name=self.config.kind,
            n_epochs=plan.n_epochs if epochs is None else min(epochs, plan.n_epochs),
            loss_limit=plan.loss_limit,
            validate=None if validate is None or not plan.evaluate_every else lambda: validate(self),
            evaluate_every=plan.evaluate_every or 1,
            patience=plan.patience,
            evaluate_start=plan.evaluate_start,
            progress=progress,
        )
        plan.release()
        self._impute_new_items(features)
        return self

    def _impute_new_items(self, features: FeatureTables) -> None:
        """Give items without watches what their features suggest, where the network knows features; after training."""


def _brief(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a short training."""
    shorter = {name: max(1, round(settings[name] * WARM_LENGTH)) for name in ("epochs", "max_steps")}
    return {**shorter, "learning_rate": settings["learning_rate"] * WARM_RATE}
