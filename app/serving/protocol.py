"""uvicorn's HTTP/1.1, with limits where it has none: on the time and the size of headers, and on what is sent unasked.

The limits on a body are the middleware's. Only answers behind which the connection is closed come by here (framing.py).
"""

from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, cast

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.api.errors import render
from app.core.config import Settings
from app.core.errors import HeadersTooLarge, HeadersTooSlow, InvalidRequest, ServiceError
from app.observability.log_events import LineLimit
from app.serving.framing import framed
from app.serving.lingering import Lingering

_MAX_HEADERS = 100
"""As many as Apache and gunicorn take."""
_MAX_WAITING = 16
"""Requests behind the one that is being answered. uvicorn parses all that one read brings, thousands, and reads on."""
_FAREWELL_S = 2
"""How long a client that still sends may take to read why. Closed at once, its connection would be reset before."""

log = structlog.get_logger(__name__)


def limited(settings: Settings) -> Callable[..., "LimitedProtocol"]:
    """The protocol as uvicorn's configuration takes it."""
    return partial(
        LimitedProtocol,
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        max_header_bytes=settings.max_header_bytes,
        refused_lines=LineLimit("connection.refused", per_s=settings.log_refusals_per_s),
    )


class LimitedProtocol(Lingering):
    """One connection. Its client is timed while it owes something: headers, or the rest of a body already answered.

    While an answer is under way nobody is timed, and between two requests uvicorn's keep-alive is.
    """

    def __init__(
        self,
        *,
        header_timeout_s: float,
        body_timeout_s: float,
        max_header_bytes: int,
        refused_lines: LineLimit,
        **uvicorns: Any,
    ) -> None:
        super().__init__(**uvicorns)
        self._refused_lines = refused_lines
        self._header_timeout_s = header_timeout_s
        self._body_timeout_s = body_timeout_s
        self._max_header_bytes = max_header_bytes
        self._header_bytes = 0
        self._unreported = 0  # bytes since the parser last told of anything: a header that does not end is not told
        self._in_headers = self._in_request = False
        self._running: RequestResponseCycle | None = None
        self._patience: TimerHandle | None = None
        self._refusal: ServiceError | None = None

    # ── The connection ───────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Transport", transport))
        self._be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_patience()
        self._forsake()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            self._rest()
            return
        self._unreported += len(data)
        super().data_received(data)
        if self._unreported > self._max_header_bytes:
            self._refuse(self._too_large())
        elif not self._answering:
            self._be_patient()
            if self._in_request and not self._in_headers:
                self._rest()

    def send_400_response(self, msg: str) -> None:
        """Where parsing ends up that has failed, or was ended by a limit."""
        self._refuse(self._refusal or InvalidRequest(f"this is not a request in HTTP/1.1 ({msg}); check what sends it"))

    # ── What the parser tells ────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        self._unreported = self._header_bytes = 0
        self._in_request = self._in_headers = True
        super().on_message_begin()
        if len(self.pipeline) >= _MAX_WAITING:
            self._stop_parsing(InvalidRequest("too many requests at once on one connection; wait for their answers"))

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._in_headers:  # and not in the trailers of a body, which uvicorn would take for headers
            super().on_header(name, value)
            if len(self.headers) > _MAX_HEADERS:
                self._stop_parsing(self._too_large())

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._end_patience()
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # it knows no interim answers
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unreported = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unreported = 0
        self._in_request = False
        self._end_patience()
        super().on_message_complete()

    def _count(self, count: int) -> None:
        self._unreported = 0
        self._header_bytes += count
        if self._header_bytes > self._max_header_bytes:
            self._stop_parsing(self._too_large())

    def _stop_parsing(self, error: ServiceError) -> NoReturn:
        self._refusal = error
        raise error

    @property
    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app if cycle.keep_alive else framed(app, cycle, self._linger))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_request and not self._answering:
            self._be_patient(self._body_timeout_s)

    # ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _be_patient(self, seconds: float | None = None) -> None:
        if self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(seconds or self._header_timeout_s, self._lose_patience)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        if self._in_headers:
            seconds = f"{self._header_timeout_s:g} s"
            self._refuse(HeadersTooSlow(f"the headers were not complete after {seconds}; send them at once"))
        else:  # nothing was asked, or it was answered
            self.transport.close()

    def _too_large(self) -> HeadersTooLarge:
        limit = f"{self._max_header_bytes} bytes or {_MAX_HEADERS} headers"
        return HeadersTooLarge(f"the request's first line and headers are more than {limit}; send less")

    def _refuse(self, error: ServiceError) -> None:
        """Says why, unless it would be in the middle of an answer, and hangs up."""
        self._refusal = error
        self._unreported = 0
        if self._refused_lines.allows():
            log.info("connection.refused", error_code=error.code, http_status=error.status, client=self.client)
        self._end_patience()
        if self._answering and self._running is not None and self._running.response_started:
            self.transport.close()
            return
        self._forsake()
        response = render(error)
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = [STATUS_LINE[response.status_code], *(b"%s: %s\r\n" % header for header in headers)]
        self.transport.write(b"".join([*lines, b"\r\n", bytes(response.body)]))
        self._close_within(_FAREWELL_S)

    def _linger(self) -> None:
        """The answer was given before the request had come, and may be read when all of it has been sent."""
        self._end_patience()
        self._close_within(self._body_timeout_s)

    def _forsake(self) -> None:
        """Tells the request that is being answered that nobody listens. uvicorn tells the last one that came."""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.waiting_for_100_continue = False  # uvicorn would write it, after the end of what is sent
            self._running.message_event.set()
