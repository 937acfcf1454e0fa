"""uvicorn's HTTP/1.1 with limits on the time and size of headers and on pipelined requests.

`api/bodies.py` limits bodies.
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
from app.serving.uvicorn_fixes import LingeringClose, decodable, has_valid_host, with_framing

_MAX_HEADERS = 100
"""The most headers of a request: the default of Apache and gunicorn."""
_MAX_PIPELINED = 16
"""The most requests that wait behind the running one. uvicorn has no limit, and one read can contain thousands."""
_MAX_SMALL_PIECES = 1000
_SMALL_PIECE_BYTES = 64
"""A body of more pieces that are as small on average is refused: each chunk costs the parser a call, so that one read
of chunks of a byte would take a tenth of a second."""
_LINGER_S = 2
"""How long a refused client has to read the response before the connection is closed."""

log = structlog.get_logger(__name__)


def limited_protocol(settings: Settings) -> Callable[..., "LimitedProtocol"]:
    """Returns the protocol factory for uvicorn's configuration."""
    log_limit = LineLimit("connection.refused", per_s=settings.log_refusals_per_s)
    return partial(LimitedProtocol, settings=settings, log_limit=log_limit)


class LimitedProtocol(LingeringClose):
    """One connection. A timer runs while headers, or the rest of a body after its response, are expected.

    No timer runs during a response; uvicorn's keep-alive timeout applies between requests.
    """

    def __init__(self, *, settings: Settings, log_limit: LineLimit, **uvicorn_options: Any) -> None:
        super().__init__(**uvicorn_options)
        self._log_limit = log_limit
        self._settings = settings
        self._header_bytes = 0
        self._pieces = self._piece_bytes = 0
        self._unparsed_bytes = 0  # since the parser's last callback: it has none for a header that does not end
        self._in_headers = self._in_request = False
        self._running: RequestResponseCycle | None = None
        self._timer: TimerHandle | None = None
        self._refusal: ServiceError | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Transport", transport))
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._cancel_request()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            self._pause_reading()
            return
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > self._settings.max_header_bytes:
            self._refuse(self._too_large())
        elif not self._responding:
            self._start_timer()
            if self._in_request and not self._in_headers:  # drops the rest of a body slowly, after its response
                self._pause_reading()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn when parsing failed or was stopped by a limit."""
        self._refuse(self._refusal or InvalidRequest(f"this is not a valid HTTP/1.1 request ({msg}); check its sender"))

    def on_message_begin(self) -> None:
        self._unparsed_bytes = self._header_bytes = self._pieces = self._piece_bytes = 0
        self._in_request = self._in_headers = True
        super().on_message_begin()
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._stop_parsing(InvalidRequest("too many pipelined requests on one connection; await their responses"))

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._in_headers:  # not in the trailers of a body, which uvicorn would add to the headers
            super().on_header(name, decodable(name, value))
            if len(self.headers) > _MAX_HEADERS:
                self._stop_parsing(self._too_large())

    def on_headers_complete(self) -> None:
        self._stop_timer()
        if is_http_1_0 := self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # it has no interim responses
        if not has_valid_host(self.headers, may_be_missing=is_http_1_0):
            self._stop_parsing(InvalidRequest("HTTP/1.1 requires one `Host` header with a valid name; send it once"))
        self._in_headers = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        self._pieces += 1
        self._piece_bytes += len(body)
        if self._pieces > _MAX_SMALL_PIECES and self._piece_bytes < self._pieces * _SMALL_PIECE_BYTES:
            self._stop_parsing(InvalidRequest("the chunks of the body are too small; send larger ones"))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        self._in_request = False
        self._stop_timer()
        super().on_message_complete()

    def _count(self, count: int) -> None:
        self._unparsed_bytes = 0
        self._header_bytes += count
        if self._header_bytes > self._settings.max_header_bytes:
            self._stop_parsing(self._too_large())

    def _stop_parsing(self, error: ServiceError) -> NoReturn:
        self._refusal = error
        raise error

    @property
    def _responding(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app if cycle.keep_alive else with_framing(app, cycle, self._linger))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_request and not self._responding:
            self._start_timer(self._settings.body_timeout_s)

    def _start_timer(self, seconds: float | None = None) -> None:
        if self._timer is None and not self._closing and not self.transport.is_closing():
            self._timer = self.loop.call_later(seconds or self._settings.header_timeout_s, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        if self._in_headers:
            seconds = f"{self._settings.header_timeout_s:g} s"
            self._refuse(HeadersTooSlow(f"the headers were not complete after {seconds}; send them without pauses"))
        else:  # there is no request, or its response was sent
            self.transport.close()

    def _too_large(self) -> HeadersTooLarge:
        limit = f"{self._settings.max_header_bytes} bytes or {_MAX_HEADERS} headers"
        return HeadersTooLarge(f"the request's first line and headers are more than {limit}; send less")

    def _refuse(self, error: ServiceError) -> None:
        """Sends the error as the response, unless another response has started, and closes the connection."""
        self._refusal = error
        self._unparsed_bytes = 0
        if self._log_limit.allows():
            address = self.client[0] if self.client else None
            log.info("connection.refused", error_code=error.code, http_status=error.status, client_address=address)
        self._stop_timer()
        in_body = self._in_request and not self._in_headers
        answered = self._running if self._responding else self.cycle if in_body else None
        if answered is not None and answered.response_started:  # another response would be taken for the next request's
            self.transport.close()
            return
        self._cancel_request()
        response = render(error)
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = [STATUS_LINE[response.status_code], *(b"%s: %s\r\n" % header for header in headers)]
        self.transport.write(b"".join([*lines, b"\r\n", bytes(response.body)]))
        self._close_within(_LINGER_S)

    def _linger(self) -> None:
        """Closes the connection after a response that was sent before its request had arrived."""
        self._stop_timer()
        self._close_within(self._settings.body_timeout_s)

    def _cancel_request(self) -> None:
        """Reports the disconnect to the running request. uvicorn reports it to the last request that arrived."""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.waiting_for_100_continue = False  # otherwise uvicorn would write it after the response
            self._running.message_event.set()
