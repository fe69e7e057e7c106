"""Settings of rankers that learn from candidate lists, apart from them so that reading one imports no TensorFlow."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from belfry.layers.config import Evaluations, LearningRate, ModelConfig

Widths: TypeAlias = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, description="units of the dense layers")
]
DearMembers: TypeAlias = Annotated[int, Field(ge=1, le=32, description="as in the other rankers; here each is dear")]

Objective: TypeAlias = Literal["binary", "squared", "bpr", "hinge", "softmax", "approx_ndcg", "lambda"]


class ListRankerConfig(ModelConfig):
    """What every ranker that learns from candidate lists has."""

    label: Literal["watched", "liked", "rating"] = Field(
        "watched", description="what is a positive: any later event, one rated liked_from or more, or by its rating"
    )
    liked_from: float = Field(4.0, description="the lowest rating that is liked, under label=liked")
    unshown_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="where it is known what was shown and passed over: share of the other candidates nobody watched "
        "that are learned from; 0: none, and the gate too looks at what was shown alone",
    )
    validation_share: float = Field(
        0.15, gt=0, lt=1, description="share of users kept for early stopping, blending, calibration and the gate"
    )
    retrieval_weight: float | None = Field(
        None, ge=0, description="of retrieval's score in the final order, in standard deviations of both; none: learned"
    )


class NetworkRankerConfig(ListRankerConfig):
    """What every neural ranker has."""

    objective: Objective = Field(
        "softmax",
        description="pointwise: binary, squared; pairwise: bpr, hinge; listwise: softmax, approx_ndcg, lambda",
    )
    members: int = Field(
        3, ge=1, le=32, description="networks of different random starts; one more learns their mean, and answers"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout after each dense layer")
    learning_rate: LearningRate = 4e-3
    batch_lists: int = Field(64, ge=1, description="lists in a training step")
    rows_per_list: int | None = Field(
        64,
        ge=2,
        description="rows of a list in a training step: positives, at most half, and negatives drawn anew in each "
        "epoch, which weigh for all under objective=softmax; none: the whole list",
    )
    epochs: int = Field(6, ge=1, description="passes over the lists")
    min_steps: int = Field(150, ge=1, description="steps of training, at least: few lists make more epochs")
    max_steps: int = Field(600, ge=1, description="steps of training, at most: many lists make fewer epochs")
    evaluations: Evaluations = 6

    @model_validator(mode="after")
    def _graded_labels_suit(self) -> Self:
        if self.label == "rating" and self.objective in ("bpr", "hinge"):
            raise ValueError(f"objective={self.objective} knows positives and negatives alone: set label to watched")
        return self


class DeepRankerConfig(NetworkRankerConfig):
    """An MLP over pair features."""

    kind: Literal["deep"] = "deep"
    widths: Widths = (64, 32)


class CrossRankerConfig(NetworkRankerConfig):
    """Deep & cross network, second version: low-rank cross layers and an MLP over the same inputs."""

    kind: Literal["cross"] = "cross"
    members: DearMembers = 1
    widths: Widths = (64, 32)
    cross_layers: int = Field(2, ge=1, description="cross layers; layer i gives interactions of order i + 2")
    projection_size: int = Field(32, ge=1, description="rank of a cross layer")
    embedding_size: int = Field(8, ge=0, description="dimensions of an embedding of the item, beside the features")


class WideDeepRankerConfig(NetworkRankerConfig):
    """Wide & deep: a linear model of features and items, and an MLP that also reads embeddings of user and item."""

    kind: Literal["wide_deep"] = "wide_deep"
    members: DearMembers = 1
    widths: Widths = (64, 32)
    embedding_size: int = Field(16, ge=1, description="dimensions of the embeddings of users and of items")


class NeuralMfRankerConfig(NetworkRankerConfig):
    """Neural matrix factorisation: the product of two embeddings and an MLP over two others; ids alone."""

    kind: Literal["neural_mf"] = "neural_mf"
    members: DearMembers = 1
    widths: Widths = (64, 32)
    embedding_size: int = Field(32, ge=1, description="dimensions of each of the four embeddings")


class AttentionRankerConfig(NetworkRankerConfig):
    """Target attention: each candidate looks at the user's newest events, and an MLP reads what it saw."""

    kind: Literal["attention"] = "attention"
    members: DearMembers = 1
    widths: Widths = (64, 32)
    embedding_size: int = Field(16, ge=1, description="dimensions of the embedding of items")
    attention_units: int = Field(16, ge=1, description="hidden units of what weighs an event for a candidate")


class TransformerRankerConfig(NetworkRankerConfig):
    """A compact transformer over the list: each candidate is scored in the light of the others."""

    kind: Literal["transformer"] = "transformer"
    members: DearMembers = 1
    rows_per_list: int | None = Field(None, ge=2, description="as in the other rankers; here a row reads the others")
    size: int = Field(32, ge=1, description="dimensions of a candidate")
    n_blocks: int = Field(2, ge=1, description="attention blocks")
    n_heads: int = Field(4, ge=1, description="attention heads; must divide size")
    inducing_points: int = Field(
        16, ge=1, description="summaries that the candidates exchange: cost grows with the list"
    )

    @model_validator(mode="after")
    def _heads_divide_size(self) -> Self:
        if self.size % self.n_heads:
            raise ValueError(f"n_heads={self.n_heads} does not divide size={self.size}")
        return self


class LightGbmRankerConfig(ListRankerConfig):
    """Gradient-boosted trees over pair features; needs `pip install belfry-recommender[lightgbm]`."""

    kind: Literal["lightgbm"] = "lightgbm"
    objective: Literal["lambdarank", "binary"] = Field(
        "lambdarank", description="listwise, or cross-entropy for each row"
    )
    trees: int = Field(600, ge=1, description="trees, at most")
    patience: int = Field(50, ge=1, description="trees without a gain on validation before training stops")
    learning_rate: float = Field(0.03, gt=0, description="weight of a tree")
    leaves: int = Field(31, ge=2, description="leaves of a tree")
    min_rows: int = Field(50, ge=1, description="rows in a leaf, at least")
    row_share: float = Field(0.8, gt=0, le=1, description="share of the rows that a tree sees")
    column_share: float = Field(0.5, gt=0, le=1, description="share of the features that a tree sees")
