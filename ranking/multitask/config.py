"""Settings of the multitask model; reading them imports no TensorFlow."""

from typing import Literal, TypeAlias

from pydantic import Field, field_validator

from belfry.dataset import columns
from belfry.layers.config import ModelConfig, Settings
from belfry.layers.towers.config import TowersConfig

TaskKind: TypeAlias = Literal["regression", "ordinal", "binary"]
SharingKind: TypeAlias = Literal["bottom", "mmoe", "ple"]
BalancingKind: TypeAlias = Literal["fixed", "uncertainty", "pcgrad"]


class TaskConfig(Settings):
    """One thing to predict of a user and an item, besides the watch."""

    column: str = Field("rating", min_length=1, description="of the interactions; a row without a value says nothing")
    kind: TaskKind = Field(
        "regression", description="a number; an ordered scale of few values (ordinal); or 0 and 1 (binary)"
    )
    weight: float = Field(
        0.03, gt=0, description="how much a label counts beside a watch, for the encoders; its head learns in any case"
    )
    utility: float = Field(
        0.0, ge=0, lt=1, description="share of its expected value in the order of a list; the rest is the watch's"
    )


class MultitaskConfig(TowersConfig, ModelConfig):
    """One set of encoders for watches and labels: a source of candidates that expects labels too."""

    kind: Literal["multitask"] = "multitask"
    tasks: tuple[TaskConfig, ...] = Field(
        (TaskConfig(column="rating"),), min_length=1, description="what is learned beside watches"
    )
    watch_weight: float = Field(1.0, ge=0, description="of the mean loss of watches; 0: labels alone are learned")
    schedule: Literal["joint", "sequential"] = Field(
        "joint", description="all tasks in every step, or watches first and labels after them"
    )
    finetune_rate: float = Field(
        0.0, ge=0, le=1, description="of the learning rate, for the shared weights under labels after watches; 0: held"
    )
    batch_raters: int = Field(
        64, ge=1, description="users with labels in a step, beside batch_users for watches, however few there are"
    )
    sharing: SharingKind = Field(
        "bottom", description="the same embeddings for all tasks; gated shared experts (mmoe); or own ones too (ple)"
    )
    n_experts: int = Field(3, ge=1, description="shared experts on each side and level, under mmoe and ple")
    n_own_experts: int = Field(1, ge=1, description="experts of each task on each side and level, under ple")
    n_levels: int = Field(1, ge=1, le=4, description="levels of experts, under mmoe and ple")
    expert_width: int = Field(64, ge=1, description="hidden units of an expert")
    balancing: BalancingKind = Field(
        "fixed",
        description="weights as given; learned ones (uncertainty); or gradients without conflicts (pcgrad)",
    )
    n_factors: int = Field(16, ge=1, le=1024, description="item factors of the ridge heads, beside the bias")
    label_rate: float = Field(0.02, gt=0, description="learning rate of what tasks do not share, as learning_rate")
    factor_l2: float = Field(
        120.0, ge=0, description="penalty on the squares of item factors, divided by the number of labels"
    )
    slope_l2: float = Field(40.0, ge=0, description="the same, of the slopes on embeddings and features")
    item_l2: float = Field(20.0, ge=0, description="the same, of the biases of items")
    user_precision: float = Field(4.0, gt=0, description="precision of the prior of user factors, in labels")

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Of the tasks, the rating apart."""
        return tuple(task.column for task in self.tasks if task.column != columns.RATING)

    @property
    def task_columns(self) -> tuple[str, ...]:
        """Of all tasks."""
        return tuple(task.column for task in self.tasks)

    @property
    def utilities(self) -> tuple[float, ...]:
        """Of the tasks."""
        return tuple(task.utility for task in self.tasks)

    @field_validator("tasks")
    @classmethod
    def _tasks_add_up(cls, tasks: tuple[TaskConfig, ...]) -> tuple[TaskConfig, ...]:
        names = [task.column for task in tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"columns are {names}; each is one task")
        if (total := sum(task.utility for task in tasks)) >= 1:
            raise ValueError(f"utilities add up to {total:g}; nothing would be left for the watch")
        return tasks
