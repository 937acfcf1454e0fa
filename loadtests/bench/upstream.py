"""`python -m loadtests.bench.upstream`: a Groq that costs too little to be what is measured.

What to answer stands in the last message: `tokens=200 rate=400 first_ms=50`. The last event's content is three times by
`time.monotonic_ns`, which all processes of a machine share: the request's, the first token's, the end's. No gateway
replaces the content.

It takes spans over OTLP as well, and `GET /spans` says of how many chats.
"""

import asyncio
import json
import re
import sys
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any, ClassVar

import uvloop

_SCRIPT = re.compile(rb"tokens=(\d+) rate=([\d.]+) first_ms=([\d.]+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SPAN = b"POST /api/v1/chat/stream"
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"x-request-id: req_01kbench000000000000000000\r\n"
    b"x-ratelimit-limit-requests: 14400\r\nx-ratelimit-remaining-requests: 14399\r\nx-ratelimit-reset-requests: 6s\r\n"
    b"x-ratelimit-limit-tokens: 300000\r\nx-ratelimit-remaining-tokens: 299958\r\nx-ratelimit-reset-tokens: 8.4ms\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection, with one request at a time."""

    spans: ClassVar[int] = 0

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, complete, body = self._data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not complete or len(body) < int(length[1] if length else 0):
            return
        self._data = b""
        script = _SCRIPT.search(body)
        if script is None:
            Upstream.spans += body.count(_SPAN)
            answer = b"%d" % self.spans if head.startswith(b"GET /spans") else b""
            status = b"200 OK" if answer or head.startswith(b"POST /v1/traces") else b"404 Not Found"
            self._write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(answer), answer))
            return
        self._tokens, self._gap_s = int(script[1]), 1 / float(script[2])
        self._started_ns = time.monotonic_ns()
        self._due = self._loop.time() + float(script[3]) / 1000
        self._loop.call_at(self._due, self._step, 0)

    def _step(self, number: int) -> None:
        """The head, the tokens, the end: each when it is due."""
        if number == 1:
            self._first_ns = time.monotonic_ns()
        if number > self._tokens:
            self._write(_ending(self._tokens, self._started_ns, self._first_ns, time.monotonic_ns()))
        elif self._transport is not None:
            self._write(_frames(self._tokens)[number])
            self._due += self._gap_s
            self._loop.call_at(self._due, self._step, number + 1)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


@lru_cache
def _frames(tokens: int) -> list[bytes]:
    """The head with the role's event, then an event for each token: its number."""
    opening = _chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_01kbench000000000000000000"})
    return [_HEAD + opening, *(_chunk({"content": f" {number}"}) for number in range(tokens))]


def _ending(tokens: int, *times_ns: int) -> bytes:
    """The last event, with usage, and `[DONE]`."""
    usage = {"queue_time": 0.01, "prompt_tokens": 42, "prompt_time": 0.002, "completion_tokens": tokens}
    usage |= {"completion_time": 0.5, "total_tokens": tokens + 42, "total_time": 0.502}
    x_groq = {"id": "req_01kbench000000000000000000", "usage": usage}
    return _chunk({"content": "-".join(map(str, times_ns))}, finish_reason="stop", x_groq=x_groq) + _DONE


def _chunk(delta: dict[str, str], finish_reason: str | None = None, **more: Any) -> bytes:
    event = {
        "id": "chatcmpl-5d1c7a2e",
        "object": "chat.completion.chunk",
        "created": 1_768_953_600,
        "model": "openai/gpt-oss-20b",
        "system_fingerprint": "fp_76307ac09b",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        **more,
    }
    data = b"data: %s\n\n" % json.dumps(event, separators=(",", ":")).encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/openai/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve())
    sys.exit(0)
