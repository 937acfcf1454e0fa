"""The event loop of a worker: uvloop, with lookups of names that cannot hold each other up.

uvloop looks names up in four threads that all connections share. A name server that never answers for one name fills
these in seconds, because a lookup goes on when its caller has given up. Then nothing connects to anything.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from threading import Thread
from typing import Any

import uvloop

LOOP = "app.serving.event_loop:Loop"
"""As uvicorn's `loop` names it."""
_THREADS = 4
"""Of the default executor, whose size would depend on the machine. Only the end of the metrics server uses it."""

_Question = tuple[str, int | str | None, int, int, int, int]
_Addresses = list[tuple[Any, ...]]


class Loop(uvloop.Loop):
    """Looks each name up in a thread of its own, one at a time: whoever asks meanwhile gets the same answer.

    There are no more of these threads than names. They are daemons, so that a process can end while they wait. How long
    they wait is the C library's matter (`timeout` and `attempts` in /etc/resolv.conf).
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[_Question, asyncio.Future[_Addresses]] = {}
        self.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="default"))

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> _Addresses:
        """Raises OSError, or UnicodeError for what cannot be a name."""
        if not _is_name(host):
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        question = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(question) or self._begin(question)
        return await asyncio.shield(lookup)

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        **options: Any,
    ) -> Any:
        """To the first address of a name that takes it; raises what the last one raised."""
        connect: Any = super().create_connection
        if not _is_name(host):
            return await connect(protocol_factory, host, port, **options)
        which = {name: options.pop(name, 0) for name in ("family", "proto", "flags")}
        addresses = await self.getaddrinfo(host, port, type=socket.SOCK_STREAM, **which)
        if options.get("ssl"):
            options["server_hostname"] = options.get("server_hostname") or host
        failure = OSError(f"{host} has no address")
        for *_, address in addresses:
            try:
                return await connect(protocol_factory, *address[:2], **options)
            except ssl.SSLError:
                raise  # the server was reached: another of its addresses would say the same
            except OSError as exc:
                failure = exc
        raise failure

    def _begin(self, question: _Question) -> asyncio.Future[_Addresses]:
        lookup: asyncio.Future[_Addresses] = self.create_future()

        def end(addresses: _Addresses, error: Exception | None) -> None:
            del self._lookups[question]
            if error is None:
                lookup.set_result(addresses)
            else:
                lookup.set_exception(error)
                lookup.exception()  # seen, even if all who asked have left

        def look_up() -> None:
            addresses: _Addresses = []
            error: Exception | None = None
            try:
                addresses = socket.getaddrinfo(*question)
            except Exception as exc:  # noqa: BLE001 - it is raised where somebody waits for it
                error = exc
            with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                self.call_soon_threadsafe(end, addresses, error)

        Thread(target=look_up, name=f"lookup of {question[0]}", daemon=True).start()
        self._lookups[question] = lookup
        return lookup


def _is_name(host: Any) -> bool:
    if not isinstance(host, str) or not host:
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False
