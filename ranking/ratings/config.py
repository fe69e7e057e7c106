"""Settings of the rankers that learn ratings; importing them brings no TensorFlow."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from belfry.layers.config import ModelConfig

Loss: TypeAlias = Annotated[Literal["absolute", "squared"], Field(description="error of a rating that training lowers")]
WatchVectors: TypeAlias = Annotated[
    int, Field(ge=1, le=1024, description="leading singular vectors of the watch table that are side inputs")
]
MaxCategories: TypeAlias = Annotated[int, Field(ge=1, description="feature columns with more categories are left out")]


class RatingRankerConfig(ModelConfig):
    """What all rankers that learn ratings have."""

    utility: float = Field(
        0.4, ge=0, le=1, description="share of the expected rating in the order of a list; the rest is retrieval's"
    )


class _RegressorConfig(RatingRankerConfig):
    """What networks that learn ratings share."""

    loss: Loss = "absolute"
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
    """Ratings by biases, a dot product and dense layers, with features and watches as side inputs of the embeddings."""

    kind: Literal["hybrid_regressor"] = "hybrid_regressor"  # type: ignore[assignment]  # a kind of its own
    loss: Loss = "squared"
    embedding_size: int = Field(16, ge=1, le=4096, description="dimensions of a user and of an item")
    watch_vectors: WatchVectors = 64
    max_categories: MaxCategories = 100
    l2: float = Field(0.02, ge=0, description="penalty on the squares of embeddings and biases")


RegressorConfig: TypeAlias = DotRegressorConfig | DeepRegressorConfig | HybridRegressorConfig


class BayesianFactorisationConfig(RatingRankerConfig):
    """Ratings by factors of users and items, averaged over samples of their posterior."""

    kind: Literal["bayesian_factorisation"] = "bayesian_factorisation"
    embedding_size: int = Field(
        12, ge=1, le=256, description="dimensions that users and items share, without the biases"
    )
    watch_vectors: WatchVectors = 64
    max_categories: MaxCategories = 100
    noise_freedom: float = Field(
        5.0, gt=0, description="the less, the further a user's noise may be from everybody's; degrees of freedom"
    )
    warm_up: int = Field(50, ge=0, description="first sweeps, whose samples are left out")
    sweeps: int = Field(400, ge=1, description="samples that ratings are the mean of, one a sweep")
    rank: int = Field(64, ge=1, description="columns of the factor tables that the mean is kept in")
