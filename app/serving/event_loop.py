"""The event loop of a worker: uvloop, with a DNS lookup per name that cannot block other lookups.

libuv has four threads for all lookups of a process. Lookups of one name that its server never answers occupy them
within seconds, since a lookup continues after its caller has timed out. No other name can be resolved then.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from threading import Thread
from typing import Any

import uvloop

LOOP = "app.serving.event_loop:Loop"
"""For uvicorn's setting `loop`."""

_Query = tuple[str, int | str | None, int, int, int, int]
_Addresses = list[tuple[Any, ...]]


class Loop(uvloop.Loop):
    """Resolves each name in a thread of its own. Callers during a lookup share its result.

    There are at most as many threads as names. They are daemons, so that the process can exit while they wait. The C
    library limits a lookup (`timeout` and `attempts` in /etc/resolv.conf).
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[_Query, asyncio.Future[_Addresses]] = {}

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
        """Raises OSError, or UnicodeError for an invalid name."""
        if not _is_name(host):
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        query = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(query) or self._start_lookup(query)
        return await asyncio.shield(lookup)

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        **options: Any,
    ) -> Any:
        """Connects to the first address of a name that accepts; raises the error of the last address.

        uvloop's own would look up the name in the four threads of libuv.
        """
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
                raise  # the server was reached: its other addresses would fail too
            except OSError as exc:
                failure = exc
        raise failure

    def _start_lookup(self, query: _Query) -> asyncio.Future[_Addresses]:
        lookup: asyncio.Future[_Addresses] = self.create_future()

        def resolve() -> None:
            try:
                finish = partial(lookup.set_result, socket.getaddrinfo(*query))
            except Exception as exc:  # noqa: BLE001 - raised in the waiting callers
                finish = partial(lookup.set_exception, exc)
            with suppress(RuntimeError):  # the loop is closed
                self.call_soon_threadsafe(finish)

        def on_done(_: asyncio.Future[_Addresses]) -> None:
            del self._lookups[query]
            lookup.exception()  # marks it as retrieved

        lookup.add_done_callback(on_done)
        Thread(target=resolve, name=f"lookup of {query[0]}", daemon=True).start()
        self._lookups[query] = lookup
        return lookup


def _is_name(host: Any) -> bool:
    if not isinstance(host, str) or not host:
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False
