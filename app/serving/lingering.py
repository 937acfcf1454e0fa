"""Closing a connection so that its client can read why, and what comes meanwhile costs little."""

from asyncio import TimerHandle

from app.serving.upgrade import NoUpgrade

_REST_S = 0.01
"""After each read of what is dropped, 256 KiB at the most: 25 MB a second, where 4 GB would keep the worker busy."""


class Lingering(NoUpgrade):
    """Closed at once while its client sends, a connection would be reset, and the answer lost before it is read."""

    _is_closing = False
    _abort: TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._abort is not None:
            self._abort.cancel()
        super().connection_lost(exc)

    def _close_within(self, seconds: float) -> None:
        """Sends nothing more, drops what still comes, and waits so long for the client to close."""
        self._is_closing = True
        self._unset_keepalive_if_required()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._abort = self.loop.call_later(seconds, self.transport.abort)

    def _rest(self) -> None:
        """Reads on in a moment."""
        self.flow.pause_reading()
        self.loop.call_later(_REST_S, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()
