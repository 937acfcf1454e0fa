"""What the lifespan hands to the endpoints: typed, so that no endpoint reaches for a global."""

from typing import Annotated, NotRequired, TypedDict
from uuid import UUID

from fastapi import Depends, Request

from app.chat.service import ChatService
from app.db.repositories.chat_log import ChatLogRepository


class State(TypedDict):
    """Lives as long as the process; `request_id` and `client_request_id` as long as their request."""

    chats: ChatService
    rows: ChatLogRepository
    request_id: NotRequired[UUID]
    client_request_id: NotRequired[str | None]


def _state(request: Request) -> State:
    state: State = request.scope["state"]
    return state


AppState = Annotated[State, Depends(_state)]
