"""The clients: they collect bytes, and look at everything when an answer is over."""

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

MODEL = "openai/gpt-oss-20b"
_THINK_S = 0.05
"""At most, between two chats: clients that ended together must not ask together."""
_TIMEOUT_S = 30
_END = b"\r\n0\r\n\r\n"
_DONE = b"data: [DONE]"
_STATUS = slice(9, 12)
_TAIL = 64
_CHUNK_HEAD = re.compile(rb"\r\n[0-9a-f]+\r\n")
_TOKEN = re.compile(rb'"content":" (\d+)"')
_FIRST = b'"content":" 0"'
_STAMPS = re.compile(rb'"content":"(\d+)-(\d+)-(\d+)"')
_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Load:
    """Answers of so many tokens, `rate` a second, the first event `first_ms` after the request.

    `clients` ask one chat after the other for `seconds`, or `once`, and begin at random within `ramp_s`. With
    `arrivals_per_s` chats begin at that mean rate instead, independently of each other. With `burst_every_s`, all
    clients ask together, again and again.
    """

    tokens: int
    rate: float = 400
    first_ms: float = 50
    clients: int = 1
    seconds: float = 1
    once: bool = False
    ramp_s: float | None = None
    arrivals_per_s: float = 0
    burst_every_s: float = 0

    @property
    def chat_s(self) -> float:
        """How long the upstream takes for one answer."""
        return self.first_ms / 1000 + (self.tokens + 1) / self.rate

    def begins(self, rng: random.Random) -> list[float]:
        """When each client, or each chat that arrives, begins, in seconds from the start."""
        if self.arrivals_per_s:
            waits = (rng.expovariate(self.arrivals_per_s) for _ in range(round(self.arrivals_per_s * self.seconds)))
            return list(accumulate(waits))
        if self.burst_every_s:
            bursts = round(self.seconds / self.burst_every_s)
            return [number * self.burst_every_s for number in range(bursts) for _ in range(self.clients)]
        return [rng.uniform(0, self.chat_s if self.ramp_s is None else self.ramp_s) for _ in range(self.clients)]

    def request(self, host: str, path: str, model: str) -> bytes:
        message = {"role": "user", "content": f"tokens={self.tokens} rate={self.rate:g} first_ms={self.first_ms:g}"}
        body = json.dumps({"model": model, "stream": True, "messages": [message]}).encode()
        head = [f"POST {path} HTTP/1.1", f"host: {host}", "content-type: application/json"]
        return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


@dataclass(frozen=True)
class Chat:
    """Times are in seconds; `error` says why it failed.

    From the request, `first_token_s` is to the first token, `whole_s` to `[DONE]`. `added_s` is the first without what
    the upstream took; `receipt_s` is from the upstream's end to `[DONE]`.
    """

    error: str | None = None
    first_token_s: float = _NAN
    added_s: float = _NAN
    whole_s: float = _NAN
    receipt_s: float = _NAN


class _Client(asyncio.Protocol):
    """One connection, with one chat at a time."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._over: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._end()

    async def chat(self, request: bytes, tokens: int) -> Chat:
        self._answer = bytearray()
        self._first_token = self._done = 0.0
        self._started = time.monotonic()
        if self._transport is None:
            return Chat("no connection")
        self._over = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            await asyncio.wait_for(self._over, _TIMEOUT_S)
        except TimeoutError:
            return Chat("hung")
        return self._result(tokens)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._answer += data
        if not self._first_token and _FIRST in self._answer:  # until then there is little to look through
            self._first_token = now
        ended = self._answer.endswith(_END)
        if not self._done and (ended or _DONE in self._answer[-_TAIL:]):  # a relay may begin a chunk within `[DONE]`
            self._done = now
        if ended or bytes(self._answer[_STATUS]) not in (b"", b"200"):
            self._end()

    def _end(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _result(self, tokens: int) -> Chat:
        answer = bytes(self._answer)
        if answer[_STATUS] != b"200":
            return Chat(f"status {answer[_STATUS].decode(errors='replace') or 'missing'}")
        body = _CHUNK_HEAD.sub(b"", answer)
        stamps = _STAMPS.search(body)
        if _DONE not in body[-_TAIL:] or not answer.endswith(_END):
            return Chat("cut off")
        if stamps is None or list(map(int, _TOKEN.findall(body))) != list(range(tokens)):
            return Chat("tokens missing or out of order")
        started, first, ended = (int(each) / 1e9 for each in stamps.groups())
        waited_s = self._first_token - self._started
        return Chat(None, waited_s, waited_s - (first - started), self._done - self._started, self._done - ended)


async def ask(port: int, path: str, load: Load, model: str = MODEL) -> list[Chat]:
    """All chats of a load, in the order in which they ended."""
    loop, rng = asyncio.get_running_loop(), random.Random(0)
    request = load.request(f"127.0.0.1:{port}", path, model)
    stop_at = time.monotonic() + load.seconds
    chats: list[Chat] = []
    idle: list[_Client] = []

    async def one_client(wait_s: float, *, again: bool) -> None:
        while True:
            await asyncio.sleep(wait_s)
            client = idle.pop() if idle else (await loop.create_connection(_Client, "127.0.0.1", port))[1]
            chats.append(await client.chat(request, load.tokens))
            if chats[-1].error is None:
                idle.append(client)
            else:
                client.close()
            if not again or time.monotonic() > stop_at:
                return
            wait_s = rng.uniform(0, _THINK_S)

    again = not (load.once or load.arrivals_per_s or load.burst_every_s)
    await asyncio.gather(*(one_client(at_s, again=again) for at_s in load.begins(rng)))
    for client in idle:
        client.close()
    await asyncio.sleep(0)  # their transports close
    return chats
