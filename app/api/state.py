"""What the endpoints are given: typed, so that none reaches for a global."""

from typing import Annotated, Protocol, TypedDict

from fastapi import Depends, Request

from app.chat.caller import Caller
from app.chat.service import ChatService
from app.core.config import Settings


class Database(Protocol):
    """What the health check needs of it."""

    async def ping(self) -> None:
        """Raises whatever the driver raises if the database does not answer."""
        ...


class AppState(TypedDict):
    """What lives as long as the process: built in the lifespan, closed with it."""

    settings: Settings
    chats: ChatService
    database: Database


# Both are async, or FastAPI would run them in a thread.


async def _app_state(request: Request) -> AppState:
    state: AppState = request.scope["state"]
    return state


async def _caller(request: Request) -> Caller:
    caller: Caller = request.scope["state"]["caller"]
    return caller


App = Annotated[AppState, Depends(_app_state)]
RequestCaller = Annotated[Caller, Depends(_caller)]
