"""What the lifespan hands to the endpoints: typed, so that no endpoint reaches for a global."""

from typing import Annotated, NotRequired, Protocol, TypedDict
from uuid import UUID

from fastapi import Depends, Request

from app.chat.service import ChatService


class Database(Protocol):
    """What the health check needs of it."""

    async def ping(self) -> None:
        """Raises whatever the driver raises if the database does not answer."""
        ...


class State(TypedDict):
    """Lives as long as the process; `request_id` and `client_request_id` as long as their request."""

    chats: ChatService
    database: Database
    request_id: NotRequired[UUID]
    client_request_id: NotRequired[str | None]


async def _state(request: Request) -> State:  # async, or FastAPI would run it in a thread
    state: State = request.scope["state"]
    return state


AppState = Annotated[State, Depends(_state)]
