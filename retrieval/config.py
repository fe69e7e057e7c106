"""Settings of the neural retrieval models, apart from the models so that reading one does not import TensorFlow."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions
from belfry.layers.config import Epochs, Evaluations, LearningRate, MaxSteps, ModelConfig, TrainingConfig
from belfry.layers.towers.config import TowersConfig, Width


class TwoTowerConfig(TowersConfig, ModelConfig):
    """The default two towers."""

    kind: Literal["two_tower"] = "two_tower"


class ReportConfig(ModelConfig):
    """The towers of the report, with its settings."""

    kind: Literal["report"] = "report"
    embedding_size: int = Field(32, ge=1, le=4096, description="dimensions that both towers share")
    objective: Literal["softmax", "binary"] = Field(
        "softmax", description="what the report's code ran, or the equation that it prints"
    )
    n_negatives: int = Field(1, ge=1, description="unseen titles drawn for each watch under objective=binary")
    learning_rate: float = Field(0.1, gt=0, description="of Adagrad")
    batch_size: int = Field(8192, ge=2, description="watches in a training step")
    epochs: int = Field(10, ge=1, description="passes over the watches")


class FeedForwardMFConfig(TrainingConfig, ModelConfig):
    """Matrix factorisation as a network with the squared loss; users are known by their id."""

    kind: Literal["feed_forward_mf"] = "feed_forward_mf"
    embedding_size: int = Field(64, ge=1, le=4096, description="dimensions that users and items share")
    hidden: tuple[Width, ...] = Field(
        (), description="widths of the dense layers that add to an embedding, on each side; none: plain factorisation"
    )
    target: Literal["watched", "rating"] = Field(
        "watched",
        description="what a cell is to be: 1 where watched, or the rating as a share of the largest",
    )
    unwatched_weight: float = Field(
        0.1, ge=0, description="how much a cell weighs as one that is to be 0; an event weighs 1"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="after each hidden layer")
    l2: float = Field(5.0, ge=0, description="penalty on the squares of a user's and of an item's vector")
    batch_users: int = Field(128, ge=1, description="users in a step, with all of their events")
    n_candidates: int = Field(
        4096,
        ge=1,
        description="items whose cells are to be 0 in a step, drawn at random; a smaller catalogue enters whole",
    )
    learning_rate: LearningRate = 0.02
    epochs: Epochs = 60
    evaluations: Evaluations = 10


class SequenceConfig(TrainingConfig, ModelConfig):
    """A query tower that reads the newest events in their order, and predicts the next one at each of them."""

    kind: Literal["sequence"] = "sequence"
    encoder: Literal["attention", "recurrent"] = Field(
        "attention", description="causal self-attention, or a gated recurrent unit"
    )
    context: bool = Field(False, description="user columns, hour and weekday enter each step")
    time: bool = Field(
        False, description="gaps between events, their age when asked and the time of the request enter the query"
    )
    embedding_size: int = Field(64, ge=1, le=4096, description="dimensions that both towers share, without the bias")
    max_length: int = Field(50, ge=2, le=1000, description="newest events of a history that are read")
    n_blocks: int = Field(2, ge=1, description="attention blocks")
    n_heads: int = Field(2, ge=1, description="heads of an attention block; they divide embedding_size")
    item_start: Literal["svd", "random"] = Field(
        "svd",
        description="what embeddings of items start from: a singular value decomposition of the watches, or noise",
    )
    max_windows: int = Field(100, ge=1, description="windows of a user in an epoch, the newest first")
    late_share: float = Field(
        0.5, ge=0, le=1, description="share of windows asked at the newest moment of the data, as batches are"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="of steps, attention and queries")
    batch_events: int = Field(512, ge=1, description="events that a step predicts, about: those of whole windows")
    n_candidates: int = Field(4096, ge=2, description="candidates in a step, at most; a smaller catalogue enters whole")
    n_sampled: int = Field(
        512, ge=2, description="targets and sampled negatives in a step, where the catalogue does not enter whole"
    )
    learning_rate: LearningRate = 0.003
    epochs: Epochs = 8
    max_steps: MaxSteps = 8000
    evaluations: Evaluations = 4

    def check(self, history: Interactions) -> None:
        """Refuse a history that the towers cannot learn from.

        Raises:
            InputError: it has no order, or, under `time`, no times, or no user has two events.
        """
        if not history.is_ordered:
            raise InputError(
                f"interactions: no column {columns.TIMESTAMP_S!r}, which the order of events is read from; add it, say "
                "data.order=rows, or choose a retrieval system other than kind=sequence"
            )
        if self.time and history.timestamp_s is None:
            raise InputError(
                f"sequence: time needs a column {columns.TIMESTAMP_S!r} in the interactions; set time to false"
            )
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError("interactions: no user has two events, so there is no next event to learn from; add data")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.encoder == "attention" and self.embedding_size % self.n_heads:
            raise ValueError(f"n_heads={self.n_heads} does not divide embedding_size={self.embedding_size}")
        return self


class ProfileConfig(TrainingConfig, ModelConfig):
    """What networks over whole profiles share."""

    learning_rate: LearningRate = 0.002
    batch_users: int = Field(128, ge=1, description="profiles in a step")
    epochs: Epochs = 60
    max_steps: MaxSteps = 3000
    evaluations: Evaluations = 8
    max_items: int = Field(50_000, ge=1, description="larger catalogues are refused: a step scores all for each user")


class AutoencoderConfig(ProfileConfig):
    """A network from what a user has watched, through a short code, to a score for every item."""

    kind: Literal["autoencoder"] = "autoencoder"
    variant: Literal["denoising", "variational"] = Field(
        "denoising", description="predicts what was left out; or the whole from a random code, held near a normal one"
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (), description="widths of the layers between items and code, and back; the outermost is what lists are made of"
    )
    embedding_size: int = Field(400, ge=1, le=4096, description="dimensions of the code")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of a profile left out in a training step")
    kl_weight: float = Field(
        1.0, ge=0, description="of the divergence of a user's code from the standard normal, under variant=variational"
    )
    kl_rise: float = Field(0.5, ge=0, le=1, description="share of training in which kl_weight rises from zero")
    l2: float = Field(
        2.5,
        ge=0,
        description="penalty on the squares of the weights, per watch of the history, under variant=denoising",
    )


class RBMConfig(ProfileConfig):
    """A restricted Boltzmann machine over what a user has watched."""

    kind: Literal["rbm"] = "rbm"
    embedding_size: int = Field(200, ge=1, le=4096, description="hidden units")
    n_rounds: int = Field(1, ge=1, description="rounds of Gibbs sampling in a step: k of contrastive divergence")
    l2: float = Field(9.0, ge=0, description="penalty on the squares of the weights, per user of the history")
    learning_rate: LearningRate = 0.01
    batch_users: int = Field(64, ge=1, description="profiles in a step")
