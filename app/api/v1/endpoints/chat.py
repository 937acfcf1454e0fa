"""`POST /api/v1/chat/stream`."""

from fastapi import APIRouter, Request

from app.api.auth import GuardedRoute
from app.api.errors import CHAT_TAG
from app.api.openapi import EVENTS, RECEIPT, failures
from app.api.sse import EventStream
from app.api.state import AppState, request_context
from app.schemas.chat import StreamRequest

router = APIRouter(prefix="/api/v1/chat", tags=[CHAT_TAG], route_class=GuardedRoute)

_RESPONSES = {200: {"description": RECEIPT, "content": EVENTS}, **failures()}


@router.post("/stream", status_code=200, response_class=EventStream, responses=_RESPONSES)
async def stream_chat(body: StreamRequest, request: Request) -> EventStream:
    """Streams a chat completion in OpenAI's format."""
    state: AppState = request.scope["state"]
    context = request_context(request, body)
    answer = state["chats"].answer(body, context)
    return EventStream(answer, context.connection, write_timeout_s=state["settings"].client_write_timeout_s)
