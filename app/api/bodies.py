"""The body of a chat request: read within its limits, and parsed where that keeps no stream waiting."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from app.api.body_budget import BodyBudget, BodyLease
from app.core.config import Settings
from app.core.errors import InvalidRequest
from app.schemas.chat import ChatRequest
from app.schemas.skeleton import Skeleton

_ON_THE_LOOP_BYTES = 2**15
"""Parsed within a fraction of a millisecond, which is what a thread costs."""
_IPV6_PREFIX = 64  # of one customer: whoever has an address has all of these

_Kind = TypeVar("_Kind", bound=ChatRequest)


class BodyReader:
    """One per process, with one thread of its own: nobody else's work waits for parsing, and two would not be faster,
    as parsers hold Python's lock.
    """

    def __init__(self, settings: Settings) -> None:
        self.budget = BodyBudget(settings.max_body_bytes_in_flight)
        self._max_bytes = settings.max_body_bytes
        self._max_values = settings.max_body_values
        self._parser = ThreadPoolExecutor(1, "body parser")
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """What waits to be parsed is dropped."""
        self._parser.shutdown(wait=False, cancel_futures=True)

    def lease(self, client: str | None, scope: Scope) -> BodyLease:
        """`client` is the name of a key. A caller without one is known by its address."""
        return self.budget.lease(f"key {client}" if client else f"address {_network(scope)}")

    async def read(self, request: Request, kind: type[_Kind], lease: BodyLease) -> tuple[bytes, _Kind]:
        """The body as it came, and what it asks for. The middleware bounds its size and its time.

        Raises InvalidRequest, BodyTooLarge, BodyBytesExceeded or Overloaded.
        """
        if not _is_json(request.headers.get("content-type", "")):
            raise InvalidRequest("send a JSON object, with the header 'content-type: application/json'")
        data, skeleton = await self._collect(request, lease)
        if len(data) <= _ON_THE_LOOP_BYTES:
            return data, kind.parse(data, skeleton)
        loop = asyncio.get_running_loop()
        return data, await loop.run_in_executor(self._parser, kind.parse, data, skeleton)

    async def _collect(self, request: Request, lease: BodyLease) -> tuple[bytes, Skeleton]:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) <= self._max_bytes:
            lease.grow(int(announced))  # it is refused now, or not for want of memory
        pieces, size, skeleton = [], 0, Skeleton(self._max_values)
        try:
            async for piece in request.stream():
                size += len(piece)
                lease.grow(size)
                await self._feed(skeleton, piece)
                pieces.append(piece)
        except ClientDisconnect as exc:
            raise InvalidRequest("the client left before its request was complete") from exc
        return b"".join(pieces), skeleton

    async def _feed(self, skeleton: Skeleton, piece: bytes) -> None:
        """Of all uploads together, one large piece at a time: what else waits for the event loop comes in between."""
        if len(piece) <= _ON_THE_LOOP_BYTES:
            skeleton.feed(piece)
            return
        async with self._turn:
            skeleton.feed(piece)
            await asyncio.sleep(0)


def _is_json(content_type: str) -> bool:
    main, _, sub = content_type.partition(";")[0].strip().lower().partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))


def _network(scope: Scope) -> str:
    """A proxy whose `X-Forwarded-For` is not believed is one caller with all those behind it."""
    host = (scope.get("client") or ("unknown",))[0]
    try:
        address = ip_address(host)
    except ValueError:
        return str(host)
    return str(ip_network((address, _IPV6_PREFIX), strict=False) if isinstance(address, IPv6Address) else address)
