"""Middleware in plain ASGI, which does not buffer streams: the state of a request, and the headers of its response."""

import time
from collections.abc import Iterable

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from app.api.errors import render, report_refusal
from app.api.swagger import SECURITY_HEADERS
from app.core.errors import InternalError
from app.observability.spans import traceresponse
from app.services.chat.ports import UNCOUNTED

_MAX_CLIENT_REQUEST_ID = 200
_GROQ_PREFIX = "/openai"

log = structlog.get_logger(__name__)


class RequestLifecycle:
    """Creates the state of a request, adds the headers that every response has, and renders unhandled exceptions.

    Paths and methods are matched leniently (`_lenient`).

    The request's id is a UUIDv7: the response's `x-request-id`, and the id of the chat's row, which also has the
    `x-request-id` that the client sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid7()
        client_request_id = Headers(scope=scope).get("x-request-id")
        state = scope["state"] = (
            scope.get("state", {})
            | {  # a copy: the lifespan's state is shared by all requests
                "request_id": request_id,
                "client_request_id": client_request_id[:_MAX_CLIENT_REQUEST_ID] if client_request_id else None,
                "model": None,
                "response_headers": {},
                "arrived": time.monotonic(),
                "body_bytes": 0,
                "body_memory": UNCOUNTED,
            }
        )
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                added = {"x-request-id": str(request_id), **state["response_headers"]}
                message["headers"] = _with_headers(message["headers"], added)
            await send(message)

        try:
            await self._app(_lenient(scope), receive, send_with_id)
        except Exception:
            log.exception("request.failed", request_id=str(request_id), path=scope["path"])
            if started:
                # The server closes the connection. The exception is replaced, because the server's log line and the
                # span of the request would show its message, which may quote a prompt.
                raise InternalError("the response broke off") from None
            error = InternalError()
            report_refusal(scope, error)
            response = render(error)
            await response(scope, receive, send_with_id)


def _with_headers(headers: Iterable[tuple[bytes, bytes]], added: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers of a response with those that every response has; a page may have security headers of its own."""
    raw = list(headers)
    present = Headers(raw=raw)
    if present.get("content-type", "").startswith("text/html"):
        added |= {name: value for name, value in SECURITY_HEADERS.items() if name not in present}
    if trace := traceresponse():
        added["traceresponse"] = trace
    return raw + [(name.encode("latin-1"), value.encode("latin-1")) for name, value in added.items()]


def _lenient(scope: Scope) -> Scope:
    """Changes the path: no trailing slash, and `/v1` for `/openai/v1`. Returns the scope, for `HEAD` a copy with `GET`.

    Groq's own clients add `/openai/v1` to the address that they are given. Starlette would redirect a trailing slash to
    the host in the request, which a client behind a shared cache can forge.
    """
    scope["path"] = scope["path"].rstrip("/") or "/"
    if scope["path"].startswith(f"{_GROQ_PREFIX}/v1/"):
        scope["path"] = scope["path"].removeprefix(_GROQ_PREFIX)
    # A copy: the server omits the body if its own scope says HEAD.
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
