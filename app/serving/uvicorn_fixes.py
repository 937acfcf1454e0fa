"""Corrections of uvicorn's HTTP/1.1: headers, declined upgrades, responses without a length, and early responses."""

import re
from asyncio import TimerHandle
from collections.abc import Callable, Sequence

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_PAUSE_S = 0.01
"""The pause after each read of up to 256 KiB that is dropped: 25 MB a second. Without it, 4 GB a second would keep the
worker busy."""
_HOST = re.compile(rb"[A-Za-z0-9._~:%\[\]!$&'()*+,;=-]*[ \t]*")  # the parser leaves white space at the end
"""Hosts that are accepted. Instrumentation compares whole URLs with paths, and a host may contain such a path."""
_DECODED_BY_TRACING = {b"user-agent", b"traceparent", b"tracestate"}


def has_valid_host(headers: Sequence[tuple[bytes, bytes]], *, may_be_missing: bool) -> bool:
    """Whether there is one valid `Host` (RFC 9112, 3.2)."""
    hosts = [value for name, value in headers if name == b"host"]
    return (may_be_missing or bool(hosts)) and len(hosts) < 2 and all(map(_HOST.fullmatch, hosts))


def decodable(name: bytes, value: bytes) -> bytes:
    """The value in UTF-8, if it is of a header that OpenTelemetry decodes: other bytes may raise an exception there."""
    return value.decode("utf-8", "replace").encode() if name.lower() in _DECODED_BY_TRACING else value


class DecliningUpgrades(HttpToolsProtocol):
    """Declines `Upgrade` (`h2c`, which Java's HttpClient offers by default) by parsing the request without it.

    httptools treats every offer as accepted: it drops the request's body and all that follows.
    """

    _upgrade_offered = False

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._upgrade_offered:
                self._upgrade_offered = False
                self._parse_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as exc:
            self.send_400_response(str(exc))

    def on_headers_complete(self) -> None:
        self._upgrade_offered = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._upgrade_offered:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._upgrade_offered:
            super().on_message_complete()

    def _parse_without_upgrade(self, rest: bytes) -> None:
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"".join([line, *headers, b"\r\n", rest]))


class LingeringClose(DecliningUpgrades):
    """Closes a connection so that a client that is still sending can read its response (RFC 9112, 9.6).

    Closed at once, the connection would be reset by the client's next bytes, and the response lost.
    """

    _closing = False
    _abort_timer: TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)

    def _close_within(self, seconds: float) -> None:
        """Ends the response, drops further data, and closes the connection if the client has not by then."""
        self._closing = True
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        self._abort_timer = self.loop.call_later(seconds, self.transport.abort)

    def _pause_reading(self) -> None:
        """Pauses reading for a moment."""
        self.flow.pause_reading()
        self.loop.call_later(_PAUSE_S, self._resume_reading)

    def _resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()


def with_framing(app: ASGI3Application, cycle: RequestResponseCycle, linger: Callable[[], None]) -> ASGI3Application:
    """Wraps the application for a request after whose response uvicorn closes the connection.

    HTTP/1.0 has no chunked encoding (RFC 9112, 6.1): a response without a length ends with its connection. If the
    request is still arriving at the end of the response, `linger` is called instead of closing the connection at once
    (RFC 9112, 9.6). A connection that stays open has HTTP/1.1 or a length, and the rest of its request is read after
    the response.
    """

    async def framed_app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        is_framed = cycle.scope["http_version"] != "1.0"

        async def send_framed(message: ASGISendEvent) -> None:
            nonlocal is_framed
            is_early = False
            if message["type"] == "http.response.start":
                is_framed |= any(name.lower() == b"content-length" for name, _ in message.get("headers", []))
                if not is_framed:
                    cycle.chunked_encoding = False
            elif message["type"] == "http.response.body":  # pragma: no branch - the app sends no other message
                if not is_framed:
                    cycle.expected_content_length = len(message.get("body", b""))  # uvicorn compares them
                is_early = cycle.more_body and not message.get("more_body", False)
            if is_early:
                cycle.keep_alive = True  # otherwise uvicorn closes the connection
            await send(message)
            if is_early:
                linger()

        await app(scope, receive, send_framed)

    return framed_app
