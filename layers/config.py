"""What settings of all components share, and how a registry names, finds and tells apart the models behind them."""

from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any, TypeAlias, Union

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

LearningRate: TypeAlias = Annotated[float, Field(gt=0, description="of Adam, at the start of its cosine decay")]
Epochs: TypeAlias = Annotated[int, Field(ge=1, description="passes over the data, at most")]
MaxSteps: TypeAlias = Annotated[
    int, Field(ge=1, description="steps of training, at most: more data, fewer epochs, and then a random part")
]
Evaluations: TypeAlias = Annotated[
    int,
    Field(
        ge=1,
        description="evaluations on what a fold holds back, in a whole training, for early stopping",
        validation_alias=AliasChoices("evaluations", "looks"),
    ),
]
Patience: TypeAlias = Annotated[int, Field(ge=1, description="evaluations without a gain before training stops")]
EMBEDDING_SIZE = AliasChoices("embedding_size", "factors")  # names of that setting of a factorisation


class Settings(BaseModel):
    """Settings of one component: checked when they are read, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class ModelConfig(Settings):
    """Settings of a model; `kind` is its name in a registry."""

    kind: str

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of the interactions that the model learns from, besides ids, times, weights and events."""
        return ()


class TrainingConfig(Settings):
    """How long a network is trained by gradient steps, and when that stops early. Kinds override the defaults."""

    learning_rate: LearningRate = 0.01
    epochs: Epochs = 90
    max_steps: MaxSteps = 4500
    evaluations: Evaluations = 9
    patience: Patience = 3

    def n_steps(self, n_needed: int) -> int:
        """Steps of an epoch, where `n_needed` see all of the data: it takes a random part that `max_steps` can see."""
        return min(n_needed, self.max_steps)

    def n_epochs(self, n_steps: int) -> int:
        """Epochs of a whole training; `n_steps` are those of one."""
        return min(max(self.max_steps // max(n_steps, 1), 1), self.epochs)

    def evaluate_every(self, n_epochs: int) -> int:
        """Epochs between evaluations in a whole training of `n_epochs`."""
        return max(1, n_epochs // self.evaluations)


def imported(place: str) -> Any:
    """What `package.module:name` names, imported now; so a registry can name models without loading their libraries."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def union_of(configs: Iterable[type[ModelConfig]]) -> Any:
    """The type of a pydantic field that takes any of these; give the field `discriminator="kind"`."""
    return Union[tuple(configs)]  # noqa: UP007  # made while running


def kind_of(config: type[ModelConfig]) -> str:
    """The name in a registry of the models with such settings."""
    return str(config.model_fields["kind"].default)
