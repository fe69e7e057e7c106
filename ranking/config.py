"""Settings of the second stage; kept apart from the models so that reading a config does not import TensorFlow."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PairFeaturesConfig(BaseModel):
    """What is computed about a user and a candidate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    moment: Literal["user_last", "history_end"] = Field(
        "user_last", description="the time a list is made for: the user's newest event, or the newest event of all"
    )
    half_life: float = Field(5.0, gt=0, description="items after which the weight in the recent history falls by half")
    max_history: int = Field(1000, ge=1, description="newest items of a history that affinities are summed over")
    n_neighbours: int = Field(100, ge=1, description="neighbours kept for each item")
    shrink: float = Field(30.0, ge=0, description="added to the divisor of a cosine")
    ease_max_items: int = Field(5000, ge=0, description="larger catalogues do without EASE affinities")
    ease_l2: float = Field(6.5, gt=0, description="regularisation of EASE per square root of the number of users")
    segment_smoothing: float = Field(20.0, gt=0, description="watches that a user segment's lift is shrunk by")
    max_categories: int = Field(100, ge=2, description="user columns with more categories make no segments")


class DeepRankerConfig(BaseModel):
    """The deep ranker: cross layers and an MLP over pair features."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["deep"] = "deep"
    objective: Literal["softmax", "binary"] = Field(
        "softmax", description="listwise softmax over a user's candidates, or cross-entropy for each row"
    )
    cross_layers: int = Field(0, ge=0, description="low-rank cross layers in front of the MLP")
    projection_size: int = Field(32, ge=1, description="rank of a cross layer")
    widths: tuple[int, ...] = Field((128, 64), min_length=1, description="units of the dense layers")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout after each dense layer")
    learning_rate: float = Field(2e-3, gt=0, description="of Adam, at the start of its cosine decay")
    batch_lists: int = Field(64, ge=1, description="lists in a training step")
    epochs: int = Field(12, ge=1, description="passes over the lists, at most")
    validation_share: float = Field(
        0.15, gt=0, lt=1, description="share of users kept for early stopping and for the gate"
    )
