"""Reads and parses request bodies within their limits; large ones are parsed in a thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, ip_network
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from app.api.body_budget import BodyBudget, BodyMemory
from app.core.config import Settings
from app.core.errors import InvalidRequest
from app.schemas.chat import ChatRequest
from app.schemas.json_scan import JsonScan

_THREAD_FROM_BYTES = 2**15
"""Smaller bodies are parsed on the event loop, in the fraction of a millisecond that a thread would cost."""
_IPV6_PREFIX = 64  # of one customer, who controls all of its addresses

_Kind = TypeVar("_Kind", bound=ChatRequest)


class BodyReader:
    """One per process. It has one thread: parsers hold the GIL, so two would not be faster."""

    def __init__(self, settings: Settings) -> None:
        self.budget = BodyBudget(settings.max_body_bytes_in_flight)
        self._max_bytes = settings.max_body_bytes
        self._max_values = settings.max_body_values
        self._max_messages = settings.max_messages
        self._parser = ThreadPoolExecutor(1, "body parser")
        self._scan_lock = asyncio.Lock()

    def close(self) -> None:
        """Stops the thread; queued bodies are dropped."""
        self._parser.shutdown(wait=False, cancel_futures=True)

    def memory_for(self, client: str | None, scope: Scope) -> BodyMemory:
        """Returns the counter of one request, at 0 bytes. It charges the client's key, or without keys its address."""
        return self.budget.memory_for(f"key {client}" if client else f"address {_network(scope)}")

    async def read(self, request: Request, kind: type[_Kind], memory: BodyMemory) -> tuple[bytes, _Kind]:
        """Returns the body and the parsed request. The middleware limits size and time.

        Raises InvalidRequest, BodyTooLarge, BodyBytesExceeded or Overloaded.
        """
        if not _is_json(request.headers.get("content-type", "")):
            raise InvalidRequest("send a JSON object, with the header 'content-type: application/json'")
        data, scan = await self._collect(request, memory)
        if len(data) <= _THREAD_FROM_BYTES:
            return data, kind.parse(data, scan)
        return data, await asyncio.get_running_loop().run_in_executor(self._parser, kind.parse, data, scan)

    def check_messages(self, request: ChatRequest) -> None:
        """Raises InvalidRequest if the request has more messages than MAX_MESSAGES."""
        if (count := len(request.messages)) > (limit := self._max_messages):
            message = f"messages: {count} are more than {limit}; leave the oldest ones out"
            raise InvalidRequest(message, param="messages")

    async def _collect(self, request: Request, memory: BodyMemory) -> tuple[bytes, JsonScan]:
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) <= self._max_bytes:
            memory.grow(int(length))  # refuses now, rather than in the middle of the upload
        pieces, size, scan = [], 0, JsonScan(self._max_values)
        try:
            async for piece in request.stream():
                size += len(piece)
                memory.grow(size)
                await self._feed(scan, piece)
                pieces.append(piece)
        except ClientDisconnect as exc:
            raise InvalidRequest("the client disconnected before its request was complete") from exc
        return b"".join(pieces), scan

    async def _feed(self, scan: JsonScan, piece: bytes) -> None:
        """Scans a piece of an upload; other tasks run after each large one."""
        if len(piece) <= _THREAD_FROM_BYTES:
            scan.feed(piece)
            return
        async with self._scan_lock:  # across the sleep, so that no two uploads are scanned without other tasks between
            scan.feed(piece)
            await asyncio.sleep(0)


def _is_json(content_type: str) -> bool:
    main, _, sub = content_type.partition(";")[0].strip().lower().partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))


def _network(scope: Scope) -> str:
    """The client's address, or its IPv6 network. All clients behind a proxy that is not trusted are one."""
    host = str((scope.get("client") or ("unknown",))[0])
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    # A socket for both versions has IPv4 addresses in IPv6's form.
    return str(address.ipv4_mapped or ip_network((address, _IPV6_PREFIX), strict=False))
