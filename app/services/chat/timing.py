"""The times of one chat. Nothing here waits; `now` is in seconds on `time.monotonic`'s clock."""

from typing import Any, overload

from app.core.upstream import Attempt, UpstreamRejected
from app.services.chat.block import Block

_STALL_S = 1
_MAX_STALLS = 3
_MAX_MESSAGE = 500


class ChatTiming:
    """Measures a chat from the last byte of its request on.

    `arrived`, `requested` (admission) and `admitted` are points in time; names with `_s` are durations.
    `attempt_log` has an entry for each request to the provider, as in ChatRecord.
    `silence_s` is the time since the provider's last chunk, as far as the chat waited for it.
    `last_token_at` is the time of the last progress, or `arrived` before the first.
    `stalls` has the start and length of the first silences of a second or more.
    `backpressure_s` is the time that the client took to accept blocks.
    """

    def __init__(self, *, arrived: float, requested: float, admitted: float) -> None:
        self.arrived = arrived
        self.admitted = admitted
        self.finished = admitted
        self.queue_s = admitted - requested
        self.attempt_log: list[dict[str, Any]] = []
        self.first_chunk_at: float | None = None
        self.first_token_at: float | None = None
        self.silence_s = 0.0
        self.longest_silence_s = 0.0
        self.stalls: list[tuple[float, float]] = []
        self.backpressure_s = 0.0
        self.retry_wait_s = 0.0
        self.bytes = 0
        self.last_token_at = arrived
        self._block_sent_at: float | None = None
        self._first_attempt_started: float | None = None
        self._last_attempt_ended: float | None = None
        self._waited_for_upstream_s = 0.0

    @property
    def first_chunk_s(self) -> float | None:
        """From the request to the provider's first chunk, which may be an empty one."""
        return None if self.first_chunk_at is None else self.first_chunk_at - self.arrived

    @property
    def first_token_s(self) -> float | None:
        """The time to first token."""
        return None if self.first_token_at is None else self.first_token_at - self.arrived

    def add_attempt(self, attempt: Attempt) -> None:
        """Records an attempt that has ended."""
        ended = attempt.ended or attempt.started
        if self._last_attempt_ended is None:
            self._first_attempt_started = attempt.started
        else:
            self.retry_wait_s += attempt.started - self._last_attempt_ended
        self._last_attempt_ended = ended
        self.attempt_log.append(
            {
                "model": attempt.model,
                "started_ms": milliseconds(attempt.started - self.arrived),
                "ended_ms": milliseconds(ended - self.arrived),
                "result": attempt.result,
                "status": attempt.status,
                **({"cause": attempt.cause} if attempt.cause else {}),
                **(
                    {"message": attempt.error.message[:_MAX_MESSAGE]}
                    if isinstance(attempt.error, UpstreamRejected)
                    else {}
                ),
            }
        )

    def on_block_accepted(self, now: float) -> None:
        """The client has accepted the last block."""
        if self._block_sent_at is not None:
            self.backpressure_s += now - self._block_sent_at
            self._block_sent_at = None

    def add_block(self, block: Block, now: float, *, waited_s: float) -> None:
        """Records a block for which the chat waited `waited_s`."""
        if self.first_token_at is None:
            self._waited_for_upstream_s += waited_s
        self._update_silence(block, now, waited_s)
        if block.chunks and self.first_chunk_at is None:
            self.first_chunk_at = now
        if block.progress_chunks:
            self.last_token_at = now
            if self.first_token_at is None:
                self.first_token_at = now
        self.bytes += len(block.data)
        self._block_sent_at = now if block.data else None

    def _update_silence(self, block: Block, now: float, waited_s: float) -> None:
        """A silence lasts until a chunk of the answer arrives; comments do not end it."""
        self.silence_s += waited_s
        if not block.chunks and not block.ended and not block.error:
            return
        if self.first_chunk_at is not None:
            self.longest_silence_s = max(self.longest_silence_s, self.silence_s)
            if self.silence_s >= _STALL_S and len(self.stalls) < _MAX_STALLS:
                self.stalls.append((now - self.silence_s - self.arrived, self.silence_s))
        self.silence_s = 0.0

    def overhead_s(self) -> float | None:
        """The service's own part of the time to first token; None without a first token."""
        if self.first_token_at is None:
            return None
        upstream_s = self._waited_for_upstream_s
        if self._first_attempt_started is not None and self._last_attempt_ended is not None:
            upstream_s += self._last_attempt_ended - self._first_attempt_started
        return max(0.0, self.first_token_at - self.arrived - self.queue_s - upstream_s)

    def time_per_output_token_s(self, tokens: int) -> float | None:
        """The mean time between two of `tokens` tokens; None for fewer than two."""
        if self.first_token_at is None or tokens < 2 or self.last_token_at == self.first_token_at:
            return None
        return (self.last_token_at - self.first_token_at) / (tokens - 1)


@overload
def milliseconds(seconds: float) -> float: ...
@overload
def milliseconds(seconds: float | None) -> float | None: ...
def milliseconds(seconds: float | None) -> float | None:
    """Converts to the unit of rows and signals, with microsecond precision."""
    return None if seconds is None else round(seconds * 1000, 3)
