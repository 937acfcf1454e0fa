"""Whether one may ask for a chat is settled before a byte of the body is read: parsing it is work for those who may."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.api.state import RequestState


class GuardedRoute(APIRoute):
    """An endpoint for those who have a key, and requests left on it, while the service has room.

    Raises Unauthorized, QuotaExceeded, Overloaded, RowsUnavailable or ServerStopping.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            state: RequestState = request.scope["state"]
            state["client"] = state["keys"].name_of(request.headers.get("authorization"))
            state["chats"].refuse_if_full()
            await state["quota"].spend(state["client"])
            return await handle(request)

        return guarded
