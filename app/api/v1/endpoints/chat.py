"""`POST /api/v1/chat/stream`."""

from typing import Any

from fastapi import APIRouter, Request

from app.api.errors import CHAT_TAG, ENVELOPE_SCHEMA
from app.api.guard import GuardedRoute
from app.api.sse import EventStream
from app.api.state import AppState, caller_of
from app.schemas.chat import ChatRequest

router = APIRouter(prefix="/api/v1/chat", tags=[CHAT_TAG], route_class=GuardedRoute)

_FAILURES: dict[int | str, str] = {
    400: "The request is not valid; `error.param` names the field.",
    401: "The key is missing or wrong.",
    408: "The headers or the body took too long to come.",
    413: "The body is too large.",
    429: "Groq's rate limit, or the quota of the key; `Retry-After` says when to come back.",
    431: "The headers are too large, or too many.",
    500: "The chat ran, and could not be recorded; or a bug.",
    502: "Groq failed.",
    503: "No room for one more stream, or Groq is over capacity.",
    504: "Groq did not answer in time.",
    "4XX": "Groq's refusal of the request, as Groq said it.",
}
_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {"type": "string", "enum": ["message", "error"]},
        "data": {"type": "string", "description": "JSON, or `[DONE]`"},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Groq's `chat.completion.chunk` events as they came, then `data: [DONE]`: the row is durable.",
        "content": {"text/event-stream": {"schema": {"type": "array"}, "itemSchema": _EVENT}},
    },
    **{
        status: {"description": text, "content": {"application/json": {"schema": ENVELOPE_SCHEMA}}}
        for status, text in _FAILURES.items()
    },
}


@router.post("/stream", status_code=200, response_class=EventStream, responses=_RESPONSES)
async def stream_chat(body: ChatRequest, request: Request) -> EventStream:
    """Streams a chat completion in OpenAI's format."""
    app: AppState = request.scope["state"]
    return EventStream(
        app["chats"].stream(body, caller_of(request)), stall_timeout_s=app["settings"].client_stall_timeout_s
    )
