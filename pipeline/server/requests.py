"""What may be asked for. Fields are called as the parameters of `Recommender` that they are passed to."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, field_validator

from belfry.pipeline.serving.rules.config import Rules

MAX_N, MAX_USERS, MAX_ITEMS = 500, 200, 5_000  # of a list, of `many`, of history, exclude and only
MAX_WHERE = 2_000  # signs of a condition
MAX_FEATURES, MAX_LENGTH, MAX_VALUES = 1_000, 4_096, 100  # of a user, of a list or vector of theirs, of a context
MAX_ID = 1_000  # signs of an id that is text

IntegerId = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
TextId = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_ID)]
Id = IntegerId | TextId
IdText = Annotated[str, Field(min_length=1, max_length=MAX_ID, description="an id, written as in a table")]
Items = Annotated[list[Id], Field(max_length=MAX_ITEMS, fail_fast=True)]
Users = Annotated[list[Id], Field(min_length=1, max_length=MAX_USERS, fail_fast=True)]
N = Annotated[int, Field(ge=1, le=MAX_N, description="length of the list, at most")]
Repeats = Literal["exclude", "allow", "only"]
Cell = StrictBool | StrictInt | StrictFloat | Annotated[str, Field(max_length=MAX_ID)]
Features = Annotated[
    dict[str, Cell | Annotated[list[Cell], Field(max_length=MAX_LENGTH, fail_fast=True)] | None] | None,
    Field(max_length=MAX_FEATURES, description="of somebody in no table, by columns", examples=[{"age": 31}]),
]
Context = Annotated[
    dict[str, Cell | None] | None,
    Field(max_length=MAX_VALUES, description="what is known of the moment", examples=[{"device": "tv"}]),
]
Pair = Annotated[str, Field(pattern="^[^=]+=", max_length=MAX_ID)]
Where = Annotated[
    str | None, Field(max_length=MAX_WHERE, description="a condition on item columns", examples=["year >= 1990"])
]


class Request(BaseModel):
    """Unknown fields are refused: one that is misspelt would be passed over in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecommendQuery(Request):
    """A list for one user, as a query."""

    user: IdText
    n: N = 10
    repeats: Annotated[
        Repeats | None, Field(description="seen items: none, also them, nothing else; by default as the run")
    ] = None
    strict: Annotated[bool, Field(description="404 for an unknown user, rather than what is popular")] = False
    explain: Annotated[bool, Field(description="say what carried each item")] = False
    context: Annotated[
        list[Pair], Field(max_length=MAX_VALUES, description="what is known of the moment: device=tv; may be repeated")
    ] = []

    @property
    def moment(self) -> dict[str, str] | None:
        """The context by columns."""
        return dict(pair.split("=", 1) for pair in self.context) or None

    @field_validator("context")
    @classmethod
    def _each_once(cls, context: list[str]) -> list[str]:
        if len({pair.partition("=")[0] for pair in context}) < len(context):
            raise ValueError("names a column twice")
        return context


class RecommendRequest(Request):
    """A list for one user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": 42, "n": 5}, {"user": 42, "n": 5, "history": [50, 181], "exclude": [7]}]
        }
    )

    user: Annotated[Id | None, Field(description="null for somebody without an id")]
    n: N = 10
    features: Features = None
    history: Annotated[Items, Field(description="watched since the run was trained, oldest first")] = []
    context: Context = None
    exclude: Annotated[Items, Field(description="items to leave out")] = []
    only: Annotated[Items | None, Field(description="the items to choose from")] = None
    rules: Annotated[Rules | None, Field(description="what shapes the list")] = None
    where: Where = None
    repeats: Repeats | None = None
    strict: bool = False
    explain: bool = False


class ManyRequest(Request):
    """Lists for many users."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"users": [42, 43], "n": 5}]})

    users: Users
    n: N = 10
    context: Context = None
    exclude: Items = []
    only: Items | None = None
    rules: Rules | None = None
    where: Where = None
    repeats: Repeats | None = None


class SimilarItemsQuery(Request):
    """The neighbours of an item."""

    item: IdText
    n: N = 10


class SimilarUsersQuery(Request):
    """The neighbours of a user."""

    user: IdText
    n: N = 10
