"""Settings of the second stage; kept apart from the models so that reading a config does not import TensorFlow."""

from typing import Literal, TypeAlias

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


class _RegressorConfig(BaseModel):
    """What networks that learn ratings share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    loss: Literal["absolute", "squared"] = Field("absolute", description="error of a rating that training lowers")
    embedding_size: int = Field(64, ge=1, le=4096, description="dimensions of a user and of an item")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam")
    batch_size: int = Field(64, ge=1, description="ratings in a training step")
    epochs: int = Field(20, ge=1, description="passes over the ratings, at most")
    patience: int = Field(2, ge=1, description="epochs without a gain on held-back ratings before training stops")
    validation_share: float = Field(0.1, gt=0, lt=1, description="share of the ratings held back to stop by")


class DotRegressorConfig(_RegressorConfig):
    """Ratings as the dot product of two embeddings."""

    kind: Literal["dot_regressor"] = "dot_regressor"


class DeepRegressorConfig(_RegressorConfig):
    """Ratings by dense layers on two embeddings."""

    kind: Literal["deep_regressor"] = "deep_regressor"
    hidden: tuple[int, ...] = Field((64,), min_length=1, description="units of the dense layers")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout of the embeddings and after each dense layer")


class HybridRegressorConfig(DeepRegressorConfig):
    """Ratings by biases, a dot product and dense layers, where features and watches have a say in the embeddings."""

    kind: Literal["hybrid_regressor"] = "hybrid_regressor"  # type: ignore[assignment]  # a kind of its own
    loss: Literal["absolute", "squared"] = Field("squared", description="error of a rating that training lowers")
    embedding_size: int = Field(16, ge=1, le=4096, description="dimensions of a user and of an item")
    watch_vectors: int = Field(64, ge=1, le=1024, description="directions of who watched what that are told of a side")
    max_categories: int = Field(100, ge=1, description="feature columns with more categories are left out")
    l2: float = Field(0.02, ge=0, description="penalty on the squares of embeddings and biases")


RegressorConfig: TypeAlias = DotRegressorConfig | DeepRegressorConfig | HybridRegressorConfig


class BayesianFactorisationConfig(BaseModel):
    """Ratings by factors of users and items, averaged over draws."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["bayesian_factorisation"] = "bayesian_factorisation"
    factors: int = Field(12, ge=1, le=256, description="dimensions that users and items share, without the biases")
    watch_vectors: int = Field(64, ge=1, le=1024, description="directions of who watched what that are told of a side")
    max_categories: int = Field(100, ge=1, description="feature columns with more categories are left out")
    noise_freedom: float = Field(
        5.0, gt=0, description="the less, the further a user's noise may be from everybody's; degrees of freedom"
    )
    warm_up: int = Field(50, ge=0, description="first sweeps, which do not count")
    sweeps: int = Field(400, ge=1, description="draws that ratings are the mean of")
    rank: int = Field(64, ge=1, description="columns of the factor tables that the mean is kept in")
