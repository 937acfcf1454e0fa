"""Whether one may ask for a chat is settled before a byte of the body is read: parsing it is work for those who may."""

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.api.state import RequestState
from app.core.errors import QuotaExceeded
from app.schemas.chat import ChatRequest


class GuardedRoute(APIRoute):
    """An endpoint for those who have a key, and quota left on it, while the service has room. Its `body` is a
    ChatRequest, or a kind of one.

    Raises Unauthorized, QuotaExceeded, QuotaUnavailable, Overloaded, RowsUnavailable or ServerStopping, and what
    reading a body raises.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever becomes of a request: when its answer has been sent, it holds no quota and no memory any longer."""
        state: RequestState = scope["state"]
        try:
            await super().handle(scope, receive, send)
        finally:
            state["quota"].leave(state["request_id"])
            if (lease := state["lease"]) is not None:
                lease.release()

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        kind: type[ChatRequest] = get_type_hints(self.endpoint)["body"]

        async def guarded(request: Request) -> Response:
            state: RequestState = request.scope["state"]
            state["client"] = state["keys"].name_of(request.headers.get("authorization"))
            state["chats"].refuse_if_full()
            try:
                state["response_headers"] = await state["quota"].enter(state["client"], state["request_id"])
            except QuotaExceeded as refusal:
                state["response_headers"] = refusal.rate_limits
                raise
            state["lease"] = lease = state["bodies"].lease(state["client"], request.scope)
            data, parsed = await state["bodies"].read(request, kind, lease)
            return await handle(_ReadRequest(request.scope, data, parsed))

        return guarded


class _ReadRequest(Request):
    """One whose body has been read and parsed: FastAPI would parse it into objects, on the event loop."""

    def __init__(self, scope: Scope, data: bytes, parsed: ChatRequest) -> None:
        super().__init__(scope)
        self._data = data
        self._parsed = parsed

    async def body(self) -> bytes:
        return self._data

    async def json(self) -> ChatRequest:
        """FastAPI takes what has been validated as it is."""
        return self._parsed
