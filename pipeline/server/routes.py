"""What can be asked under /v1: parse, score in a lane, tell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response

from belfry.dataset import columns
from belfry.dataset.vocabulary import UNKNOWN, Id
from belfry.pipeline.server.answers import (
    Answer,
    Error,
    Health,
    ManyAnswer,
    Readiness,
    RecommendAnswer,
    SimilarItemsAnswer,
    SimilarUsersAnswer,
)
from belfry.pipeline.server.current_run import CurrentRun
from belfry.pipeline.server.errors import RefusedError
from belfry.pipeline.server.lanes import Lane
from belfry.pipeline.server.requests import (
    ManyRequest,
    RecommendQuery,
    RecommendRequest,
    SimilarItemsQuery,
    SimilarUsersQuery,
)
from belfry.pipeline.server.telemetry.metrics import Metrics
from belfry.pipeline.serving.recommender import Recommender

T = TypeVar("T", bound=Answer)
Responses = dict[int | str, dict[str, Any]]

_WHEN = {
    400: "No HTTP, no JSON, or another Host than this machine",
    401: "No API key, or none that is known",
    404: "The user or the item is not in the run",
    408: "The request took too long to come",
    413: "The body is too large",
    422: "The request does not fit",
    429: "More requests than agreed",
    431: "The head of the request is too large",
    503: "Overloaded, or no run is loaded yet; try again",
}


def _refusals(*statuses: int) -> Responses:
    return {
        status: {"model": Error, "description": _WHEN[status]} for status in sorted({400, 401, 429, 431, *statuses})
    }


@dataclass(frozen=True)
class Service:
    """What the routes answer with."""

    current: CurrentRun
    quick: Lane  # one list
    bulk: Lane  # many lists, and what is worked out for all users at once
    metrics: Metrics

    async def answer(self, request: Request, lane: Lane, call: Callable[[Recommender], T]) -> Response:
        """What `call` makes of the run that answers now.

        Raises:
            RefusedError: there is none yet, or too many ask.
        """
        recommender = self.current.recommender
        if recommender is None:
            raise RefusedError(503, "not_ready", "no run is loaded yet; try again", retry_after_s=2)
        request.state.run = recommender.run.name
        return await lane.run(lambda: call(recommender).response())

    def close(self) -> None:
        self.current.stop()
        self.quick.close()
        self.bulk.close()


def routes(service: Service) -> APIRouter:
    """Those of one application."""
    router = APIRouter(prefix="/v1")

    @router.get("/recommend", response_model=RecommendAnswer, responses=_refusals(404, 422, 503))
    async def recommend(request: Request, query: Annotated[RecommendQuery, Query()]) -> Response:
        """A list for one user."""

        def call(recommender: Recommender) -> Answer:
            asked = dict(query) | {"user": recommender.user_ids.parse(query.user), "context": query.moment}
            return _one(service, recommender, **asked)

        return await service.answer(request, service.quick, call)

    @router.post("/recommend", response_model=RecommendAnswer, responses=_refusals(404, 408, 413, 422, 503))
    async def recommend_with(request: Request, body: RecommendRequest) -> Response:
        """A list for one user, with what they did since and what may be in it."""
        lane = service.quick if body.rules is None and body.where is None else service.bulk  # rules may cost more
        return await service.answer(request, lane, lambda one: _one(service, one, **dict(body)))

    @router.post("/recommend/many", response_model=ManyAnswer, responses=_refusals(408, 413, 422, 503))
    async def recommend_many(request: Request, body: ManyRequest) -> Response:
        """Lists for many users."""
        return await service.answer(request, service.bulk, lambda one: _many(one, **dict(body)))

    @router.get("/items/similar", response_model=SimilarItemsAnswer, responses=_refusals(404, 422, 503))
    async def similar_items(request: Request, query: Annotated[SimilarItemsQuery, Query()]) -> Response:
        """The items whose vectors are nearest."""

        def call(recommender: Recommender) -> Answer:
            item = recommender.item_ids.parse(query.item)
            if recommender.item_ids.number(item, "item") == UNKNOWN:
                raise RefusedError(
                    404, "unknown_item", f"the item is not in the catalogue of run {recommender.run.name}"
                )
            found = recommender.similar_items(item, query.n)
            return SimilarItemsAnswer.of(run=recommender.run.name, item=item, items=found)

        return await service.answer(request, service.quick, call)

    @router.get("/users/similar", response_model=SimilarUsersAnswer, responses=_refusals(404, 422, 503))
    async def similar_users(request: Request, query: Annotated[SimilarUsersQuery, Query()]) -> Response:
        """The users whose vectors are nearest."""

        def call(recommender: Recommender) -> Answer:
            user = recommender.user_ids.parse(query.user)
            found = recommender.similar_users(user, query.n)
            return SimilarUsersAnswer.of(run=recommender.run.name, user=user, users=found)

        return await service.answer(request, service.bulk, call)

    @router.get("/health", response_model=Health, responses=_refusals())
    async def health() -> Response:
        """That the process is alive."""
        return Health().response()

    @router.get("/ready", response_model=Readiness, responses={**_refusals(), 503: {"model": Readiness}})
    async def ready() -> Response:
        """Whether a run answers, and which."""
        current = service.current
        run = None if current.recommender is None else current.recommender.run.name
        told = Readiness(ready=run is not None, run=run, refused=current.is_refused)
        return told.response(200 if told.ready else 503)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **_refusals()})
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    return router


def _one(service: Service, recommender: Recommender, **asked: Any) -> RecommendAnswer:
    items = recommender.recommend(**asked)
    if any(item.is_cold for item in items):
        service.metrics.cold.inc()
    return RecommendAnswer.of(run=recommender.run.name, user=asked["user"], items=items)


def _many(recommender: Recommender, users: list[Id], **asked: Any) -> ManyAnswer:
    table = recommender.recommend_many(users, **asked, workers=1)
    lists: dict[Id, list[dict[str, Any]]] = {
        user: [] for user in recommender.user_ids.array(users, "users").to_pylist()
    }
    for place in table.to_pylist():
        lists[place[columns.USER_ID]].append(place)
    told = [{"user": user, "items": items} for user, items in lists.items()]
    return ManyAnswer.of(run=recommender.run.name, lists=told)
