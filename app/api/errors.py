"""Every error as OpenAI's envelope: `{"error": {"message", "type", "code", "param"}}`."""

import math
from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.core.errors import BodyTooLarge, InternalError, InvalidRequest, ServiceError

log = structlog.get_logger(__name__)


def install(app: FastAPI) -> None:
    """One handler renders them all; the others translate what the framework raises."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


def render(error: ServiceError) -> JSONResponse:
    """The envelope, with `Retry-After` in whole seconds where waiting helps."""
    headers = {} if error.retry_after is None else {"retry-after": str(math.ceil(error.retry_after))}
    return JSONResponse(error.envelope(), error.status, headers)


async def _service_error(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, ServiceError)  # noqa: S101 - the type for which this handler is registered
    return render(exc)


async def _validation_error(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)  # noqa: S101
    return render(_invalid(exc.errors()))


async def _http_error(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)  # noqa: S101
    if exc.status_code == BodyTooLarge.status:
        return render(BodyTooLarge(f"{exc.detail}; send less, or raise MAX_BODY_BYTES"))
    message = f"{request.method} {request.url.path}: {exc.detail}"
    if exc.status_code == 404:
        message = f"there is no {request.method} {request.url.path}; GET /docs lists what there is"
    error = InvalidRequest(message)
    error.status = exc.status_code
    response = render(error)
    response.headers.update(exc.headers or {})
    return response


async def _bug(request: Request, exc: Exception) -> JSONResponse:
    log.error("request.failed", method=request.method, path=request.url.path, exc_info=exc)
    return render(InternalError("the service failed; its operator finds the cause in the log"))


def _invalid(problems: Sequence[dict[str, Any]]) -> InvalidRequest:
    """The first problem as the sentence, with the field it is about as `param`."""
    first = problems[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}")
    param = ".".join(str(part) for part in first["loc"][1:])
    if not param:
        return InvalidRequest("send a JSON object, with the header 'content-type: application/json'")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InvalidRequest(f"{param}: {_fix(first)}{more}", param=param)


def _fix(problem: dict[str, Any]) -> str:
    if problem["type"] == "missing":
        return 'this field is required, for example {"messages": [{"role": "user", "content": "Hello"}]}'
    return str(problem["msg"])
