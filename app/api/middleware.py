"""Around every request: an id for it, and a limit on its body. Plain ASGI, so that streams pass untouched."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from app.core.errors import BodyTooLarge

_MAX_CLIENT_REQUEST_ID = 200


class RequestId:
    """Gives each request a UUIDv7: the response's `x-request-id`, and the id of the chat's row.

    What the caller sent as `x-request-id` is kept beside it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid7()
        theirs = Headers(scope=scope).get("x-request-id")
        # The lifespan's state is shared by all requests; ours is a copy.
        scope["state"] = scope.get("state", {}) | {
            "request_id": request_id,
            "client_request_id": theirs[:_MAX_CLIENT_REQUEST_ID] if theirs else None,
        }

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = str(request_id)
            await send(message)

        await self._app(scope, receive, send_with_id)


class BodyLimit:
    """Stops reading a body that is too large, whether it says so in its headers or not."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            if announced.isdecimal() and int(announced) > self._max_bytes:
                raise self._too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receive_within_limit, send)

    def _too_large(self) -> HTTPException:
        # FastAPI lets this class alone out of its body parsing.
        return HTTPException(BodyTooLarge.status, detail=f"the body is larger than {self._max_bytes} bytes")
