"""Renders errors as OpenAI's error object: `{"error": {"message", "type", "code", "param"}}`."""

import math

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.api.state import RequestState
from app.core.errors import InvalidRequest, ServiceError, Unauthorized
from app.core.outcomes import REFUSALS
from app.schemas.problems import invalid

CHAT_TAG = "chat"
"""The tag of chat endpoints."""

_TEXT_OR_NULL = {"anyOf": [{"type": "string"}, {"type": "null"}]}
ENVELOPE_SCHEMA = {
    "title": "ErrorEnvelope",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param"],
            "properties": {
                "message": {"type": "string", "description": "for people"},
                "type": {"type": "string"},
                "code": _TEXT_OR_NULL | {"description": "for programs"},
                "param": _TEXT_OR_NULL | {"description": "the field it is about"},
            },
        }
    },
}


def install(app: FastAPI) -> None:
    """Adds a handler for ServiceError, and handlers that translate the framework's exceptions."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def render(error: ServiceError) -> Response:
    """Returns the error object as a response, with `Retry-After` in whole seconds if the error has it."""
    headers = {} if error.retry_after is None else {"retry-after": str(math.ceil(error.retry_after))}
    if error.status == Unauthorized.status:
        headers["www-authenticate"] = "Bearer"
    content = msgspec.json.encode(error.envelope())
    return Response(content, error.status, headers, media_type="application/json")


async def _service_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ServiceError)  # noqa: S101 - the type of this handler # nosec B101
    return _respond(request, exc)


async def _validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101 # nosec B101
    return _respond(request, invalid([problem | {"loc": problem["loc"][1:]} for problem in exc.errors()]))


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 # nosec B101
    message = f"{request.method} {request.url.path}: {exc.detail}"
    if exc.status_code == 404:
        hint = "GET /docs lists the endpoints" if request.app.state.settings.shows_docs else "see its documentation"
        message = f"there is no {request.method} {request.url.path}; {hint}"
    error = InvalidRequest(message)
    error.status = exc.status_code
    response = _respond(request, error)
    response.headers.update(exc.headers or {})
    if response.headers.get("allow") == "GET":
        response.headers["allow"] = "GET, HEAD"  # served by RequestLifecycle
    return response


def _respond(request: Request, error: ServiceError) -> Response:
    if error.outcome in REFUSALS:
        report_refusal(request.scope, error)
    return render(error)


def report_refusal(scope: Scope, error: ServiceError) -> None:
    """Reports refused chats, and invalid keys on any path, since those may be attempts to guess a key."""
    route = scope.get("route")
    if not isinstance(route, APIRoute):
        return
    state: RequestState = scope["state"]
    if CHAT_TAG in route.tags:
        state["telemetry"].chat_refused(
            error,
            request_id=state["request_id"],
            route=route.path,
            model=state["model"],
            client=state.get("client"),
            has_key="client" in state,  # GuardedRoute has authenticated the client
        )
    elif isinstance(error, Unauthorized):
        state["telemetry"].key_refused(error, request_id=state["request_id"], route=route.path)
