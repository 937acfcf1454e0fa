"""When things came, in one chat. Nothing here waits; `now` is in seconds on a clock that only goes forward."""

from typing import Any, overload

from app.chat.block import Block
from app.core.attempt import Attempt

_STALL_S = 1
_MAX_STALLS = 3


class Pace:
    """The clock of one chat: from the last byte of its request on."""

    def __init__(self, *, arrived: float, asked: float, admitted: float) -> None:
        self.arrived = arrived
        self.admitted = admitted
        self.finished = admitted
        self.queue_s = admitted - asked
        self.attempts: list[dict[str, Any]] = []
        self.first_chunk_at: float | None = None
        self.first_token_at: float | None = None
        self.longest_silence_s = 0.0
        self.stalls: list[tuple[float, float]] = []
        self.backpressure_s = 0.0
        self.retry_wait_s = 0.0
        self.chunks = 0
        self.deltas = 0
        self.bytes = 0
        self._last_token_at = arrived
        self.silence_s = 0.0
        self._handed_over_at: float | None = None
        self._attempting_since: float | None = None
        self._last_attempt_ended: float | None = None
        self._waited_for_groq_s = 0.0

    @property
    def first_chunk_s(self) -> float | None:
        """From the request to Groq's first chunk, which may be an empty one."""
        return None if self.first_chunk_at is None else self.first_chunk_at - self.arrived

    @property
    def first_token_s(self) -> float | None:
        """The time to first token."""
        return None if self.first_token_at is None else self.first_token_at - self.arrived

    def attempted(self, attempt: Attempt) -> None:
        """The time from the first attempt to the end of the last one is Groq's, the waits between them included."""
        ended = attempt.ended or attempt.started
        if self._last_attempt_ended is None:
            self._attempting_since = attempt.started
        else:
            self.retry_wait_s += attempt.started - self._last_attempt_ended
        self._last_attempt_ended = ended
        self.attempts.append(
            {
                "model": attempt.model,
                "started_ms": milliseconds(attempt.started - self.arrived),
                "ended_ms": milliseconds(ended - self.arrived),
                "result": attempt.result,
                "status": attempt.status,
                **({"cause": attempt.cause} if attempt.cause else {}),
            }
        )

    def resume(self, now: float) -> None:
        """The client has taken the last block, and the next one may come."""
        if self._handed_over_at is not None:
            self.backpressure_s += now - self._handed_over_at
            self._handed_over_at = None

    def add(self, block: Block, now: float, *, waited_s: float) -> None:
        """A block has come, after waiting that long with nothing to relay."""
        if self.first_token_at is None:
            self._waited_for_groq_s += waited_s
        self._note_silence(block, now, waited_s)
        if block.chunks and self.first_chunk_at is None:
            self.first_chunk_at = now
        if block.deltas:
            self._last_token_at = now
            if self.first_token_at is None:
                self.first_token_at = now
        self.chunks += block.chunks
        self.deltas += block.deltas
        self.bytes += len(block.data)
        self._handed_over_at = now if block.data else None

    def _note_silence(self, block: Block, now: float, waited_s: float) -> None:
        """A silence lasts until Groq says something of its answer: comments, Groq's or ours, do not end it."""
        self.silence_s += waited_s
        if not block.chunks and not block.ended and not block.error:
            return
        if self.first_chunk_at is not None and self.silence_s > self.longest_silence_s:
            self.longest_silence_s = self.silence_s
            if self.silence_s >= _STALL_S and len(self.stalls) < _MAX_STALLS:
                self.stalls.append((now - self.silence_s - self.arrived, self.silence_s))
        self.silence_s = 0.0

    def overhead_s(self) -> float | None:
        """Our part of the time to first token; None if there was none."""
        if self.first_token_at is None:
            return None
        groq_s = self._waited_for_groq_s
        if self._attempting_since is not None and self._last_attempt_ended is not None:
            groq_s += self._last_attempt_ended - self._attempting_since
        return max(0.0, self.first_token_at - self.arrived - self.queue_s - groq_s)

    def per_output_token_s(self, tokens: int) -> float | None:
        """The time between two of so many tokens; None where there are no two to be between."""
        if self.first_token_at is None or tokens < 2 or self._last_token_at == self.first_token_at:
            return None
        return (self._last_token_at - self.first_token_at) / (tokens - 1)


@overload
def milliseconds(seconds: float) -> float: ...
@overload
def milliseconds(seconds: float | None) -> float | None: ...
def milliseconds(seconds: float | None) -> float | None:
    """As rows and signals tell times."""
    return None if seconds is None else round(seconds * 1000, 3)
