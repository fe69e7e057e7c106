"""What is answered; the documentation of the interface, and the way from named tuples to JSON."""

from typing import Any, Self

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from belfry.dataset.vocabulary import Id


class Part(BaseModel):
    model_config = ConfigDict(from_attributes=True)  # named tuples may stand for what an answer is made of


class Answer(Part):
    """Names the run that it comes from: while a new one is taken up, workers may differ for a moment."""

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """Checked fields."""
        return cls.model_validate(fields)

    def response(self, status: int = 200) -> Response:
        return Response(self.model_dump_json(), status, media_type="application/json")


class Watched(Part):
    item_id: Id
    title: str | None
    share: float = Field(description="of all that speaks for the item, 0 to 1")


class Effect(Part):
    feature: str
    change: float = Field(description="of the log-odds, against the mean of the candidates")


class Explanation(Part):
    watched: list[Watched]
    features: list[Effect]


class Place(Part):
    rank: int
    item_id: Id
    title: str | None
    score: float
    origin: str = Field(description="the source that brought the item; `cold` for users without a history")
    because: Explanation | None = None
    expected_rating: float | None = Field(None, description="where a model of the run expects ratings")
    propensity: float | None = Field(None, description="chance that this list holds the item; where rules explore")
    rating_deviation: float | None = Field(None, description="its standard deviation, where that model knows one")


class RecommendAnswer(Answer):
    run: str
    user: Id | None
    items: list[Place] = Field(description="best first; fewer than n where no more are left")


class ManyPlace(Part):
    rank: int
    item_id: Id
    score: float
    origin: str
    expected_rating: float | None = None
    propensity: float | None = None
    rating_deviation: float | None = None


class UserList(Part):
    user: Id
    items: list[ManyPlace]


class ManyAnswer(Answer):
    run: str
    lists: list[UserList] = Field(description="in the order asked")


class SimilarItem(Part):
    rank: int
    item_id: Id
    title: str | None
    similarity: float = Field(description="cosine, -1 to 1")


class SimilarItemsAnswer(Answer):
    run: str
    item: Id
    items: list[SimilarItem]


class SimilarUser(Part):
    rank: int
    user_id: Id
    similarity: float = Field(description="cosine, -1 to 1")


class SimilarUsersAnswer(Answer):
    run: str
    user: Id
    users: list[SimilarUser]


class Health(Answer):
    status: str = "alive"


class Readiness(Answer):
    ready: bool
    run: str | None = Field(description="that answers")
    refused: bool = Field(description="whether a newer run could not be opened; the log says why")


class Problem(Part):
    where: str
    what: str


class Error(Answer):
    error: str = Field(description="a word for programs", examples=["wrong_input"])
    message: str = Field(description="a sentence for people")
    problems: list[Problem] = []
