"""The OpenAPI description: responses of a chat, errors and keys."""

from typing import Any

from fastapi import FastAPI

from app.api.errors import ENVELOPE_SCHEMA
from app.core.config import Settings

RECEIPT = "Groq's `chat.completion.chunk` events, unchanged, then `data: [DONE]` when the chat's row is durable."
_KEY = {"type": "http", "scheme": "bearer", "description": "A key of this service, as in API_KEYS."}
_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {"type": "string", "enum": ["message", "error"]},
        "data": {"type": "string", "description": "JSON, or `[DONE]`"},
    },
}
EVENTS = {"text/event-stream": {"schema": {"type": "array"}, "itemSchema": _EVENT}}
COMPLETION = {
    "application/json": {
        "schema": {
            "title": "ChatCompletion",
            "type": "object",
            "required": ["id", "object", "created", "model", "choices", "usage"],
            "properties": {
                "object": {"const": "chat.completion"},
                "choices": {"type": "array", "items": {"type": "object", "required": ["index", "message"]}},
            },
        }
    }
}
COMPLETIONS = {
    "application/json": {
        "schema": {
            "title": "List",
            "type": "object",
            "required": ["object", "data", "first_id", "last_id", "has_more"],
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {"type": "object", "required": ["id"]}},
                "has_more": {"type": "boolean"},
            },
        }
    }
}
_FAILURES: dict[int | str, str] = {
    400: "The request is not valid; `error.param` names the field.",
    401: "The key is missing or wrong.",
    404: "There is no such model, or no such stored chat.",
    408: "The headers or the body took too long to arrive.",
    413: "The body is too large.",
    429: "Groq's rate limit, or the quota of the key; `Retry-After` says when to try again.",
    431: "The headers are too large, or too many.",
    500: "The chat ran, and its row could not be stored; or a bug.",
    502: "Groq failed.",
    503: "The worker runs as many chats as it may, rows cannot be stored or read, or Groq is over capacity.",
    504: "Groq did not answer in time.",
    "4XX": "Groq refused the request; its error is passed on.",
}
_FAILURES_OF_READS: dict[int | str, str] = {409: "The chat is not stored yet; `Retry-After` says when to try again."}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses with these statuses, or all that a chat can end with."""
    return {
        status: {"description": text, "content": {"application/json": {"schema": ENVELOPE_SCHEMA}}}
        for status, text in (_FAILURES | _FAILURES_OF_READS if statuses else _FAILURES).items()
        if not statuses or status in statuses
    }


def install(app: FastAPI, settings: Settings) -> None:
    """Describes the key, if the service has keys: `/docs` shows a field for it. Removes 422, which is 400 here."""
    describe = app.openapi

    def corrected() -> dict[str, Any]:
        described = describe()
        if settings.needs_key:
            described["components"]["securitySchemes"] = {"key": _KEY}
        for operations in described["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                if settings.needs_key and "401" in operation["responses"]:
                    operation["security"] = [{"key": []}]
        return described

    app.openapi = corrected  # type: ignore[method-assign] # FastAPI's documented extension point
