"""Offers of another protocol (`Upgrade: h2c`, as Java's HttpClient makes by default) are declined, as HTTP allows.

httptools takes every offer for accepted: it drops the body of the request, and whatever was sent behind it.
"""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class NoUpgrade(HttpToolsProtocol):
    """Parses a request that offers an upgrade once more, without its offer."""

    _offered = False

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self._offered:
                self._offered = False
                self._decline(data[offer.args[0] :])
        except httptools.HttpParserError as exc:
            self.send_400_response(str(exc))

    def on_headers_complete(self) -> None:
        self._offered = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._offered:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._offered:
            super().on_message_complete()

    def _decline(self, rest: bytes) -> None:
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"".join([line, *kept, b"\r\n", rest]))
