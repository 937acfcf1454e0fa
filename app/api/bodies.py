"""Reads and parses request bodies within their limits of size, time and memory; large ones are parsed in a thread.

GuardedRoute reads every body this way. A router of other endpoints with a body needs FastAPI's `max_body_size`.
"""

import asyncio
import gc
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, ip_network
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Message, Scope

from app.core.config import Settings
from app.core.errors import BodyBytesExceeded, BodyTooLarge, BodyTooSlow, InvalidRequest, Overloaded, ServerDraining
from app.schemas.chat import ChatRequest
from app.schemas.json_scan import JsonScan
from app.services.chat.timeouts import Drain

_THREAD_FROM_BYTES = 2**15
"""Smaller bodies are parsed on the event loop, in the fraction of a millisecond that a thread would cost."""
_LARGE_BYTES = 2**18
_COLLECTED_BYTES = 2**26
"""Bytes of large requests after which garbage is collected. The request of a failed chat is part of a reference cycle
(error, traceback, frames), and Python collects by the number of objects, not by their size: hundreds of megabytes could
wait. A collection takes 3 ms, and a tenth of a second with 500 open streams; objects from the start are frozen
(serving/server.py)."""

_Kind = TypeVar("_Kind", bound=ChatRequest)


class BodyReader:
    """One per process. It has one thread: parsers hold the GIL, so two would not be faster."""

    def __init__(self, settings: Settings, *, drain: Drain) -> None:
        self.budget = BodyBudget(settings.max_body_bytes_in_flight)
        self._settings = settings
        self._drain = drain
        self._parser = ThreadPoolExecutor(1, "body parser")
        self._scan_lock = asyncio.Lock()

    def close(self) -> None:
        """Stops the thread; queued bodies are dropped."""
        self._parser.shutdown(wait=False, cancel_futures=True)

    def memory_for(self, client: str | None, scope: Scope) -> "BodyMemory":
        """Returns the counter of one request, at 0 bytes. It charges the client's key, or without keys its address."""
        return self.budget.memory_for(f"key {client}" if client else f"address {_network(scope)}")

    async def read(self, request: Request, kind: type[_Kind], memory: "BodyMemory") -> tuple[bytes, _Kind]:
        """Returns the body and the parsed request; its state has `body_bytes`, and when the last byte had `arrived`.

        Raises InvalidRequest, BodyTooLarge, BodyTooSlow, BodyBytesExceeded, Overloaded or ServerDraining.
        """
        if not _is_json(request.headers.get("content-type", "")):
            raise InvalidRequest("send a JSON object, with the header 'content-type: application/json'")
        data, scan = await self._collect(request, memory)
        if len(data) <= _THREAD_FROM_BYTES:
            return data, kind.parse(data, scan)
        return data, await asyncio.get_running_loop().run_in_executor(self._parser, kind.parse, data, scan)

    async def _collect(self, request: Request, memory: "BodyMemory") -> tuple[bytes, JsonScan]:
        length = request.headers.get("content-length", "")
        if length.isdecimal():
            self._grow(memory, int(length))  # refuses now, rather than in the middle of the upload
        pieces, size, scan = [], 0, JsonScan(self._settings.max_body_values)
        deadline, more = time.monotonic() + self._settings.body_timeout_s, True
        while more:
            message = await self._receive(request, deadline)
            request.scope["state"]["arrived"] = time.monotonic()  # a slow upload is not the service's time
            pieces.append(piece := message.get("body", b""))
            size += len(piece)
            self._grow(memory, size)
            await self._feed(scan, piece)
            more = message.get("more_body", False)
        request.scope["state"]["body_bytes"] = size
        return b"".join(pieces), scan

    async def _receive(self, request: Request, deadline: float) -> Message:
        try:
            message = await self._drain.wait(request.receive(), timeout_s=deadline - time.monotonic())
        except TimeoutError as exc:
            if self._drain.expired:
                raise ServerDraining from exc
            raise BodyTooSlow("the request took too long to arrive; send it without pauses") from exc
        if message["type"] == "http.disconnect":
            raise InvalidRequest("the client disconnected before its request was complete")
        return message

    def _grow(self, memory: "BodyMemory", size: int) -> None:
        if size > (limit := self._settings.max_body_bytes):
            raise BodyTooLarge(f"the body is larger than {limit} bytes; send less")
        memory.grow(size)

    async def _feed(self, scan: JsonScan, piece: bytes) -> None:
        """Scans a piece of an upload; other tasks run after each large one."""
        if len(piece) <= _THREAD_FROM_BYTES:
            scan.feed(piece)
            return
        async with self._scan_lock:  # across the sleep, so that no two uploads are scanned without other tasks between
            scan.feed(piece)
            await asyncio.sleep(0)


class BodyBudget:
    """The memory of all bodies, from their first byte until their rows are durable. One per process.

    A client may hold at most as many bytes as are free. So the heaviest client is refused first, a single client gets
    half, and some bytes are always left for others. This is the dynamic threshold by which switches share a buffer
    among ports (Choudhury and Hahne, 1998).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._held: Counter[str] = Counter()
        self._uncollected = 0

    @property
    def used(self) -> int:
        """The bytes held by all clients."""
        return self._limit - self._free

    def memory_for(self, client: str) -> "BodyMemory":
        """Returns memory of no bytes. `release` has to follow."""
        return BodyMemory(self, client)

    def take(self, client: str, count: int, *, held_by_request: int) -> None:
        """Raises BodyBytesExceeded for a client whose other requests hold bytes, Overloaded for any other client."""
        held = self._held[client]
        if held + count > self._free - count:
            retry_after = random.randint(1, 3)  # spreads the retries # noqa: S311 # nosec B311
            if held > held_by_request:
                message = "the running requests of this client are too large together; wait until one has ended"
                raise BodyBytesExceeded(message, retry_after=retry_after)
            raise Overloaded("this worker has no memory for a request of this size; try again", retry_after=retry_after)
        self._held[client] += count
        self._free -= count

    def give_back(self, client: str, count: int) -> None:
        """Returns bytes that `take` gave."""
        self._free += count
        self._held[client] -= count
        if not self._held[client]:
            del self._held[client]

    def chat_ended(self, count: int) -> None:
        """A chat with a request of this size has ended. Counts all chats: which ones failed is not known here."""
        self._uncollected += count if count >= _LARGE_BYTES else 0
        if self._uncollected >= _COLLECTED_BYTES:
            self._uncollected = 0
            gc.collect()


class BodyMemory:
    """The bytes of one request. They are freed when every holder has released it."""

    def __init__(self, budget: BodyBudget, client: str) -> None:
        self._budget = budget
        self._client = client
        self._bytes = 0
        self._holders = 1
        self._is_of_chat = False

    def grow(self, count: int) -> None:
        """Grows to `count` bytes. Raises BodyBytesExceeded or Overloaded, and keeps its size then."""
        if count > self._bytes:
            self._budget.take(self._client, count - self._bytes, held_by_request=self._bytes)
            self._bytes = count

    def hold(self) -> None:
        """Adds the chat as a holder."""
        self._holders += 1
        self._is_of_chat = True

    def release(self) -> None:
        """Removes a holder."""
        self._holders -= 1
        if not self._holders:
            self._budget.give_back(self._client, self._bytes)
            if self._is_of_chat:
                self._budget.chat_ended(self._bytes)


def _is_json(content_type: str) -> bool:
    main, _, sub = content_type.partition(";")[0].strip().lower().partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))


def _network(scope: Scope) -> str:
    """The client's address, or its IPv6 network. All clients behind a proxy that is not trusted are one."""
    host = str((scope.get("client") or ("unknown",))[0])
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    # A socket for both versions has IPv4 addresses in IPv6's form. A /64 is one customer, who controls its addresses.
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
