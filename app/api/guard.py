"""Whether one may ask for a chat is settled before a byte of the body is read: parsing it is work for those who may."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.api.state import RequestState
from app.core.errors import QuotaExceeded


class GuardedRoute(APIRoute):
    """An endpoint for those who have a key, and quota left on it, while the service has room.

    Raises Unauthorized, QuotaExceeded, QuotaUnavailable, Overloaded, RowsUnavailable or ServerStopping.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever becomes of a request: when its answer has been sent, it holds no quota any longer."""
        state: RequestState = scope["state"]
        try:
            await super().handle(scope, receive, send)
        finally:
            state["quota"].leave(state["request_id"])

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            state: RequestState = request.scope["state"]
            state["client"] = state["keys"].name_of(request.headers.get("authorization"))
            state["chats"].refuse_if_full()
            try:
                state["response_headers"] = await state["quota"].enter(state["client"], state["request_id"])
            except QuotaExceeded as refusal:
                state["response_headers"] = refusal.rate_limits
                raise
            return await handle(request)

        return guarded
