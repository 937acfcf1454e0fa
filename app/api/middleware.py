"""Around every request: an id, a limit on its body, an answer to bugs. Plain ASGI, so that streams pass untouched."""

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from app.api.errors import render, tell_of_refusal
from app.api.swagger import HEADERS as PAGE_HEADERS
from app.core.errors import BodyTooLarge, BodyTooSlow, InternalError, ServerStopping
from app.observability.spans import traceresponse
from app.services.chat.drain import Drain

_MAX_CLIENT_REQUEST_ID = 200

log = structlog.get_logger(__name__)


class RequestId:
    """Gives each request a UUIDv7: the response's `x-request-id`, and the id of the chat's row.

    What the caller sent as `x-request-id` is kept beside it; `traceresponse` names the trace, and a caller who has a
    quota is told what is left of it. An exception that nobody handled is answered here, so that it has them too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid7()
        theirs = Headers(scope=scope).get("x-request-id")
        state = scope["state"] = (
            scope.get("state", {})
            | {  # a copy: the lifespan's state is everybody's
                "request_id": request_id,
                "client_request_id": theirs[:_MAX_CLIENT_REQUEST_ID] if theirs else None,
                "response_headers": {},
                "arrived": time.monotonic(),
                "body_bytes": 0,
                "lease": None,
            }
        )
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = str(request_id)
                headers.update(state["response_headers"])
                if headers.get("content-type", "").startswith("text/html"):
                    headers.update(PAGE_HEADERS | dict(headers))
                if trace := traceresponse():
                    headers["traceresponse"] = trace
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request.failed", request_id=str(request_id), path=scope["path"])
            if started:
                # The server closes the connection, which is all that is left to say. Its own line and the span of the
                # request would have the message of the exception, which may quote a prompt.
                raise InternalError("the response broke off") from None
            error = InternalError("the service failed; its operator finds the cause in the log")
            tell_of_refusal(scope, error)
            response = render(error)
            await response(scope, receive, send_with_id)


class LenientRouting:
    """Answers `HEAD` wherever there is a `GET`, and a path with a slash at its end like the one without.

    Starlette would redirect there, to the host that the client named: which is anybody's, if a cache stands between.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["path"].rstrip("/") or "/"
            if scope["method"] == "HEAD":
                scope = {**scope, "method": "GET"}  # a copy: the server sends no body where its own says HEAD
        await self._app(scope, receive, send)


class BodyLimit:
    """Stops reading a body that is too large, whether it says so in its headers or not, or that takes too long to come.

    A request has arrived when its body has: how long a slow client takes to send it is not our time. FastAPI's own
    `max_body_size` would do for the size, if its 413 were not plain text.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        drain: Drain = scope["state"]["drain"]
        deadline = time.monotonic() + self._timeout_s
        received, has_all = 0, False

        async def receive_within_limit() -> Message:
            nonlocal received, has_all
            if has_all:
                return await receive()
            if announced.isdecimal() and int(announced) > self._max_bytes:
                raise self._too_large()
            try:
                message = await drain.wait(receive(), timeout_s=deadline - time.monotonic())
            except TimeoutError as exc:
                raise HTTPException(ServerStopping.status if drain.expired else BodyTooSlow.status) from exc
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            has_all = not message.get("more_body")
            if has_all:
                scope["state"] |= {"arrived": time.monotonic(), "body_bytes": received}
            return message

        await self._app(scope, receive_within_limit, send)

    def _too_large(self) -> HTTPException:
        # The only kind of exception that FastAPI lets through its parsing of a body.
        return HTTPException(BodyTooLarge.status, detail=f"the body is larger than {self._max_bytes} bytes")
