"""One answer as a client sees it: next to nothing is done with a read, and everything is looked at in the end."""

from dataclasses import dataclass

from loadtests.bench.frames import in_order, stamps
from loadtests.bench.http1 import message

_END = b"\r\n0\r\n\r\n"
_DONE = b"data: [DONE]"
_TAIL = 64


@dataclass(frozen=True, slots=True)
class Chat:
    """What became of it; times are in seconds, NaN if it failed, and then `error` says why.

    `asked` is on `time.monotonic`'s clock. `first_token_s` and `whole_s` count from the request, to the first
    token and to `[DONE]`. `added_s` is the first without what the upstream took itself. `receipt_s` is from the
    upstream's end to `[DONE]`.
    """

    tokens: int
    error: str | None = None
    asked: float = float("nan")
    first_token_s: float = float("nan")
    added_s: float = float("nan")
    whole_s: float = float("nan")
    receipt_s: float = float("nan")

    def tokens_between(self, begin: float, end: float) -> float:
        """How many of its tokens came then, as evenly as they are sent."""
        first, last = self.asked + self.first_token_s, self.asked + self.whole_s
        return self.tokens * max(0.0, min(end, last) - max(begin, first)) / max(last - first, 1e-9)


class Answer:
    """Fed with what is read, at `now` on `time.monotonic`'s clock."""

    __slots__ = ("_asked", "_done", "_first_token", "_parts", "_tail", "status")

    def __init__(self, asked: float) -> None:
        self.status = b""
        self._asked = asked
        self._first_token = self._done = 0.0
        self._parts: list[bytes] = []
        self._tail = b""

    def feed(self, data: bytes, now: float) -> bool:
        """Whether this was the end of it."""
        self._parts.append(data)
        if not self._first_token:
            self._begin(now)
        self._tail = tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]
        if not self._done and _DONE in tail:
            self._done = now
        return tail.endswith(_END) or self.status not in (b"", b"200")

    def chat(self, tokens: int) -> Chat:
        """What became of it, once it is over, or the connection is."""
        if self.status not in (b"", b"200"):
            return Chat(tokens, f"status {self.status.decode(errors='replace')}")
        complete = message(b"".join(self._parts))
        if complete is None:
            return Chat(tokens, "cut off")
        _, body, _ = complete
        if not self._done:
            return Chat(tokens, "no [DONE]")
        if not in_order(body, tokens) or not (times := stamps(body)):
            return Chat(tokens, "events that are missing or out of order")
        asked, first, ended = times
        waited = self._first_token - self._asked
        return Chat(
            tokens,
            asked=self._asked,
            first_token_s=waited,
            added_s=waited - (first - asked),
            whole_s=self._done - self._asked,
            receipt_s=self._done - ended,
        )

    def _begin(self, now: float) -> None:
        """The first event has no token in it. Until the second has come, there is little to look through."""
        begun = b"".join(self._parts)
        self.status = begun[9:12]
        if begun.count(b"data: ") >= 2:
            self._first_token = now
