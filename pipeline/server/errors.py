"""Errors as JSON, with the status that fits; what went wrong inside is for the log and nobody else."""

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from belfry.dataset.errors import ArtifactError, InputError, UnknownUserError, printable
from belfry.pipeline.server.answers import Error, Problem

LONGEST_MESSAGE = 500
MAX_PROBLEMS = 10  # that are told of one request
INTERNAL = "internal_error", "something went wrong here; the request id finds it in the log"
WORDS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 422: "wrong_input"}


class RefusedError(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, error: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.error = status, error
        self.headers = {} if retry_after_s is None else {"retry-after": str(max(1, round(retry_after_s)))}
        if status in (408, 413):
            self.headers["connection"] = "close"  # nobody reads the rest of the body

    def response(self) -> Response:
        return error_response(self.status, self.error, str(self), headers=self.headers)


def error_response(
    status: int,
    error: str,
    message: str,
    problems: list[Problem] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in words that steer no terminal."""
    told = Error(error=error, message=printable(message, LONGEST_MESSAGE), problems=problems or [])
    response = told.response(status)
    response.headers.update(headers or {})
    return response


def explain_errors(app: FastAPI) -> None:
    """Have every error of the application answered in this form."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(UnknownUserError, _unknown)
    app.add_exception_handler(ArtifactError, _not_of_the_caller)
    app.add_exception_handler(InputError, _wrong)
    app.add_exception_handler(Exception, _internal)


async def _invalid(request: Request, error: Exception) -> Response:
    """Says where and what, and repeats nothing of what was sent."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return error_response(400, WORDS[400], "the body is no JSON")
    problems = [
        Problem(where=printable(".".join(map(str, one["loc"])), 100), what=printable(one["msg"], LONGEST_MESSAGE))
        for one in found[:MAX_PROBLEMS]
    ]
    return error_response(422, WORDS[422], "the request does not fit the interface", problems)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(
        error.status_code, WORDS.get(error.status_code, "refused"), str(error.detail), headers=error.headers
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return error.response()


async def _unknown(request: Request, error: Exception) -> Response:
    return error_response(404, "unknown_user", str(error))


async def _wrong(request: Request, error: Exception) -> Response:
    return error_response(422, WORDS[422], str(error))


async def _not_of_the_caller(request: Request, error: Exception) -> Response:
    """The run is at fault, in words that may name paths: as any defect."""
    raise error


async def _internal(request: Request, error: Exception) -> Response:
    """Whoever is outside of the application logs the error."""
    return error_response(500, *INTERNAL)
