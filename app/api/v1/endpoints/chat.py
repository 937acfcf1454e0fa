"""`POST /api/v1/chat/stream`."""

from typing import Any

from fastapi import APIRouter

from app.api.sse import EventStream
from app.api.state import AppState
from app.schemas.chat import ChatRequest

router = APIRouter(prefix="/api/v1/chat", tags=["chat"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Groq's `chat.completion.chunk` events as they came, then `data: [DONE]`: the row is durable.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    400: {"description": "The request is not valid; `error.param` names the field."},
    413: {"description": "The body is too large."},
    429: {"description": "Groq's rate limit; `Retry-After` says when to come back."},
    502: {"description": "Groq failed."},
    503: {"description": "No room for one more stream, or Groq is over capacity."},
    504: {"description": "Groq did not answer in time."},
}


@router.post("/stream", response_class=EventStream, responses=_RESPONSES)
async def stream_chat(body: ChatRequest, state: AppState) -> EventStream:
    """Streams a chat completion in OpenAI's format."""
    blocks = state["chats"].stream(body, request_id=state["request_id"], client_request_id=state["client_request_id"])
    return EventStream(blocks)
