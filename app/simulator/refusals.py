"""Answers without a stream: what Groq refuses, in Groq's own words."""

import math
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.simulator.faults import Fault
from app.simulator.limits import Exhausted
from app.simulator.models import MODELS
from app.simulator.request import GroqRequest
from app.simulator.wire import error_body

_UNSUPPORTED = ("logprobs", "top_logprobs", "logit_bias")
_OVER_CAPACITY = "The model is currently over capacity. Please try again and back off exponentially."
_BY_STATUS: dict[int, dict[str, Any]] = {
    401: error_body("Invalid API Key", "invalid_request_error", "invalid_api_key"),
    403: error_body("Access denied. Please check your network settings.", "invalid_request_error"),
    413: error_body("Request too large for model", "tokens", "rate_limit_exceeded"),
    422: error_body("Unprocessable entity", "invalid_request_error"),
    429: error_body("Rate limit reached for model. Please try again in 1s.", "tokens", "rate_limit_exceeded"),
    498: error_body("Flex tier capacity exceeded", "capacity_exceeded", "capacity_exceeded"),
    500: error_body("Internal Server Error", "internal_server_error"),
    502: error_body("Bad Gateway", "internal_server_error"),
    503: error_body(_OVER_CAPACITY, "internal_server_error"),
}


class Refused(Exception):
    """An error answer: its status, its body, and `retry-after` in whole seconds."""

    def __init__(self, status: int, body: dict[str, Any], retry_after_s: int | None = None) -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s

    def response(self, headers: dict[str, str]) -> JSONResponse:
        retry = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        return JSONResponse(self.body, self.status, headers | retry)


async def checked_body(request: Request) -> dict[str, Any]:
    """The body, if Groq would take it. Raises Refused."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key.strip():
        raise Refused(401, _BY_STATUS[401])
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise _bad("could not parse the JSON body") from None
    if not isinstance(body, dict):
        raise _bad("the body must be a JSON object")
    _check(body)
    return body


def _check(body: dict[str, Any]) -> None:
    model = body.get("model")
    if not isinstance(model, str) or model not in MODELS:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise Refused(404, error_body(message, "invalid_request_error", "model_not_found"))
    for name in _UNSUPPORTED:
        if body.get(name):
            raise _bad(f"property '{name}' is unsupported")
    try:
        GroqRequest.model_validate(body)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise _bad(f"'{field}' : {problem['msg']}") from None


def by_script(fault: Fault) -> Refused | None:
    """The error that a fault asks for."""
    if fault.status is None:
        return None
    usual = _BY_STATUS.get(fault.status) or error_body(f"status {fault.status}", "invalid_request_error")
    retry_after_s = 1 if fault.status == 429 and fault.retry_after_s is None else fault.retry_after_s
    return Refused(fault.status, {"error": fault.error} if fault.error else usual, retry_after_s)


def by_limit(exhausted: Exhausted) -> Refused:
    """413 for a request that can never fit, else 429 with the wait."""
    body = error_body(exhausted.message, exhausted.kind, "rate_limit_exceeded")
    if exhausted.wait_s is None:
        return Refused(413, body)
    return Refused(429, body, math.ceil(exhausted.wait_s))


def _bad(message: str) -> Refused:
    return Refused(400, error_body(message, "invalid_request_error"))
