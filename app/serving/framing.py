"""How an answer ends where uvicorn gets it wrong: without a length for HTTP/1.0, or before its request has."""

from collections.abc import Callable

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def framed(app: ASGI3Application, cycle: RequestResponseCycle, linger: Callable[[], None]) -> ASGI3Application:
    """The application, for a request after whose answer the connection is closed; `linger` closes it slowly."""

    async def framed_app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await app(scope, receive, _Framing(cycle, send, linger))

    return framed_app


class _Framing:
    """Sends the messages of one answer.

    HTTP/1.0 knows no chunks (RFC 9112, 6.1): there, an answer without a length ends with its connection. And where the
    request is still coming, the connection is not closed at once: what comes later would reset it, and the client lose
    an answer that it has not read yet (RFC 9112, 9.6).
    """

    def __init__(self, cycle: RequestResponseCycle, send: ASGISendCallable, linger: Callable[[], None]) -> None:
        self._cycle = cycle
        self._send = send
        self._linger = linger
        self._may_chunk = cycle.scope["http_version"] != "1.0"

    async def __call__(self, message: ASGISendEvent) -> None:
        is_early = False
        if message["type"] == "http.response.start":
            has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", []))
            self._may_chunk |= has_length
            if not self._may_chunk:
                self._cycle.chunked_encoding = False
        elif message["type"] == "http.response.body":
            if not self._may_chunk:
                self._cycle.expected_content_length = len(message.get("body", b""))  # uvicorn compares them
            is_early = self._cycle.more_body and not message.get("more_body", False)
        if is_early:
            self._cycle.keep_alive = True  # or uvicorn would close
        await self._send(message)
        if is_early:
            self._linger()
