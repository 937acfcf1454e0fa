"""One connection that asks, reads, and comes back when it is told to. It costs little: there are thousands of it."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.service import PATH

_BODY = json.dumps({"messages": [{"role": "user", "content": "How long is a piece of string?"}]}).encode()
_HEAD = [f"POST {PATH} HTTP/1.1", "host: overload", "content-type: application/json", f"content-length: {len(_BODY)}"]
_REQUEST = "\r\n".join([*_HEAD, "", ""]).encode() + _BODY

_THINK_S = 2
"""Nobody asks again at the very moment of an answer: those whose rows shared a commit would stay together for ever."""

_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_RETRY_AFTER = re.compile(rb"retry-after: (\d+)", re.IGNORECASE)
_TOKEN = re.compile(rb'"content":"[^"]')
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(slots=True)
class Answer:
    """One answer; times are in seconds, `asked` on `time.monotonic`'s clock, the others from there on."""

    asked: float
    status: int = 0
    first_token_s: float | None = None
    ended_s: float = 0
    done: bool = False


class Client(asyncio.Protocol):
    """Asks until it is told to stop; each answer is handed to `note`."""

    def __init__(self, note: Callable[[Answer], None]) -> None:
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._begun = b""
        self._tail = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost, self._transport = self._transport is not None, None

    def stop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def ask(self) -> None:
        if self._transport is not None:
            self._answer, self._begun, self._tail = Answer(time.monotonic()), b"", b""
            self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        assert answer is not None, "the service spoke unasked"
        if answer.first_token_s is None:
            self._begin(answer, data)
        self._tail = (self._tail + data)[-40:]
        if answer.status == 200 and self._tail.endswith(_LAST_CHUNK):
            answer.done = b"data: [DONE]" in self._tail
            self._end(answer, come_back_s=0)

    def _begin(self, answer: Answer, data: bytes) -> None:
        """Until the first token there is little to look through."""
        self._begun += data
        if not answer.status and (found := _STATUS.match(self._begun)):
            answer.status = int(found[1])
        if answer.status == 200 and _TOKEN.search(self._begun):
            answer.first_token_s = time.monotonic() - answer.asked
        elif answer.status != 200 and self._begun.endswith(b"}"):
            told = _RETRY_AFTER.search(self._begun)
            self._end(answer, int(told[1]) if told else 1)

    def _end(self, answer: Answer, come_back_s: float) -> None:
        answer.ended_s = time.monotonic() - answer.asked
        self._note(answer)
        self._loop.call_later(come_back_s + random.uniform(0, _THINK_S), self.ask)
