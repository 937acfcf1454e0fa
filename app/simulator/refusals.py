"""Errors: how Groq says them, by their status and by rate limit."""

import math
from typing import Any

from starlette.responses import JSONResponse

from app.simulator.limits import Exhausted
from app.simulator.wire import error_body

INVALID_KEY = error_body("Invalid API Key", code="invalid_api_key")
_OVER_CAPACITY = "The model is currently over capacity. Please try again and back off exponentially."
BY_STATUS: dict[int, dict[str, Any]] = {
    401: INVALID_KEY,
    403: error_body("Access denied. Please check your network settings."),
    413: error_body("Request too large for model", "tokens", "rate_limit_exceeded"),
    422: error_body("Unprocessable entity"),
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


def by_limit(exhausted: Exhausted) -> Refused:
    """413 for a request that can never fit, else 429 with the wait."""
    body = error_body(exhausted.message, exhausted.kind, "rate_limit_exceeded")
    if exhausted.wait_s is None:
        return Refused(413, body)
    return Refused(429, body, math.ceil(exhausted.wait_s))


def not_json(generated: str) -> Refused:
    """The refusal of an answer that should have been JSON, and did not end (thepersonalaicompany/amurex-backend#38)."""
    message = "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details."
    return Refused(400, error_body(message, code="json_validate_failed", failed_generation=generated))
