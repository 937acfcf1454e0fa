"""How Groq refuses: an error object, and the usual one of each status."""

from typing import Any


class Refused(Exception):
    """An error response. `retry_after_s` is in whole seconds; the headers are those of any response."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        retry_after_s: int | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, kind, **fields)
        self.retry_after_s = retry_after_s


def error_body(message: str, kind: str = "invalid_request_error", **fields: Any) -> dict[str, Any]:
    """Groq's error envelope: `code` and other fields are there only where Groq has them."""
    return {"error": {"message": message, "type": kind} | fields}


ERROR_BODIES: dict[int, dict[str, Any]] = {
    401: error_body("Invalid API Key", code="invalid_api_key"),
    403: error_body("Access denied. Please check your network settings."),
    413: error_body("Request too large for model", "tokens", code="rate_limit_exceeded"),
    422: error_body("Unprocessable entity"),
    429: error_body("Rate limit reached for model. Please try again in 1s.", "tokens", code="rate_limit_exceeded"),
    498: error_body("Flex tier capacity exceeded", "capacity_exceeded", code="capacity_exceeded"),
    500: error_body("Internal Server Error", "internal_server_error"),
    502: error_body("Bad Gateway", "internal_server_error"),
    503: error_body(
        "The model is currently over capacity. Please try again and back off exponentially.", "internal_server_error"
    ),
}
"""The body that Groq sends with each status."""
