"""Settings of the two towers that retrieval and the multitask model share; reading them imports no TensorFlow."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions
from belfry.layers.config import Epochs, Evaluations, LearningRate, MaxSteps, Settings, TrainingConfig
from belfry.layers.negatives import Negatives

Share = Annotated[float, Field(gt=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=16_384)]


class SampledLossConfig(Settings):
    """How towers learn to tell targets from negatives; shared by all towers that gradient steps train."""

    objective: Literal["softmax", "binary", "bpr", "hinge", "triplet"] = Field("softmax", description="loss of a step")
    negatives: Negatives = Field(
        "all",
        description="what the negatives are: the whole catalogue (mixed if it is larger than n_candidates), targets "
        "of the other queries, items drawn uniformly or by popularity, both (mixed), or the hardest of all",
    )
    n_candidates: int = Field(4096, ge=2, description="targets and negatives in a step, at most")
    n_sampled: int = Field(
        512, ge=2, description="the same, where they are sampled: a catalogue of n_candidates items enters whole"
    )
    n_negatives: int = Field(
        20,
        ge=1,
        description="negatives of a target under bpr, hinge and triplet; their weight under binary; those of a query "
        "that negatives=hard keeps",
    )
    margin: float = Field(1.0, gt=0, description="difference of scores that hinge and triplet ask for")
    impression_weight: float = Field(
        1.0, ge=0, description="weight, as a negative, of an item shown to the user and not watched, or disliked"
    )


class TowersConfig(TrainingConfig, SampledLossConfig):
    """Two towers that read histories as weighted bags of items: their network, and how it learns from watches."""

    learning_rate: LearningRate = 0.008
    epochs: Epochs = 24
    max_steps: MaxSteps = 2400
    evaluations: Evaluations = 5

    embedding_size: int = Field(64, ge=1, le=4096, description="dimensions that both towers share")
    item_start: Literal["svd", "random"] = Field(
        "svd",
        description="what embeddings of items start from: a singular value decomposition of the watches, or noise",
    )
    query_hidden: tuple[Width, ...] = Field((), description="hidden layers of the query tower, from the history on")
    candidate_hidden: tuple[Width, ...] = Field((), description="hidden layers of the candidate tower")
    shares_items: bool = Field(
        False, description="siamese: one embedding of an item for both towers, in a history and as a candidate"
    )
    similarity: Literal["dot", "cosine", "euclidean"] = Field(
        "dot", description="score: dot product plus the item's bias, cosine, or -distance^2 / 2"
    )
    example_age: bool = Field(
        False,
        description="the query tower reads the age of the targets in training, and 0 in serving; for targets=next",
    )
    targets: Literal["any", "next"] = Field(
        "any", description="what a history must predict: a hidden share of its items, or the items that came next"
    )
    hidden_share: tuple[Share, Share] = Field((0.2, 0.5), description="range of the share hidden under targets=any")
    n_next: int = Field(5, ge=1, description="items to predict under targets=next")
    half_life: float = Field(
        5.0, gt=0, description="items after which a weight in the recency-weighted history is halved"
    )
    max_history: int = Field(1000, ge=1, description="newest items of a history that are read")
    history_dropout: float = Field(0.1, ge=0, lt=1, description="share of the read items left out in a training step")
    cold_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of histories left out whole, so that user features learn to answer cold users",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the query embedding")
    temperature: float = Field(1.0, gt=0, description="logits are divided by it")
    l2: float = Field(
        0.008,
        ge=0,
        description="penalty on the squares of the embeddings in a step, divided by the root of the number of watches",
    )
    batch_users: int = Field(128, ge=1, description="queries in a step")

    def check(self, history: Interactions) -> None:
        """Refuse a history that cannot predict anything.

        Raises:
            InputError: no user has two events.
        """
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError("interactions: no user has two events, so no history can predict anything; add data")

    @field_validator("hidden_share")
    @classmethod
    def _rising(cls, share: tuple[float, float]) -> tuple[float, float]:
        if share[0] > share[1]:
            raise ValueError(f"runs from {share[0]} down to {share[1]}; name the lower share first")
        return share

    @model_validator(mode="after")
    def _triplets_have_distances(self) -> Self:
        if self.objective == "triplet" and self.similarity == "dot":
            raise ValueError("objective=triplet compares distances: set similarity to euclidean or cosine")
        return self
