"""The pool of connections to Groq, which reuses only those that received nothing while they were idle."""

import asyncio
import select
import ssl
from functools import partial
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from app.core.config import Settings

_KEEPALIVE_S = 60
_DNS_CACHE_S = 60


def create_connector(ssl_context: ssl.SSLContext) -> aiohttp.TCPConnector:
    """A pool without a limit: admission bounds the chats, and waiting for a connection would not be measured."""
    return CleanReuseConnector(
        limit=0,
        keepalive_timeout=_KEEPALIVE_S,
        ttl_dns_cache=_DNS_CACHE_S,
        resolver=aiohttp.ThreadedResolver(),  # calls `loop.getaddrinfo`, which serving/event_loop.py overrides
        ssl=ssl_context,
    )


class CleanReuseConnector(aiohttp.TCPConnector):
    """Reuses a connection only if it received nothing while it was idle.

    HTTP/1.1 has no request ids: what is received first counts as the response to the next request. A second response,
    or the 408 that a load balancer sends before it closes an idle connection, would become another client's answer
    (response queue poisoning; https://portswigger.net/research/http-desync-attacks).
    """

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - the library's name
        while True:
            connection: Any = await super().connect(req, traces, timeout)
            guard = connection.transport.get_protocol()
            reused = isinstance(guard, _IdleGuard)
            if reused:
                connection.transport.set_protocol(connection.protocol)
            if connection.protocol.should_close or (reused and _has_unread_bytes(connection.transport)):
                connection.close()
                if reused:
                    continue
                raise aiohttp.ClientConnectionError("the server sent something before the request")
            connection.add_callback(partial(_guard, connection))
            return connection


class _IdleGuard(asyncio.Protocol):
    """Replaces the protocol of an idle connection, and closes the connection when it receives anything."""

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is, no request was sent
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)


def _guard(connection: Any) -> None:
    """For aiohttp to call before a connection returns to the pool or is closed."""
    transport = connection.transport
    if transport is not None and not transport.is_closing():
        transport.set_protocol(_IdleGuard(transport, connection.protocol))


def _has_unread_bytes(transport: asyncio.Transport) -> bool:
    """Whether the socket has data, or its end, that the event loop has not read yet."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def proxy_of(url: URL) -> str | None:
    """Returns `HTTPS_PROXY` or `ALL_PROXY` of the environment, unless `NO_PROXY` has Groq's host.

    aiohttp's own `trust_env` reads ~/.netrc for each request, in a thread.
    """
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(url.host or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def proxy_problems(settings: Settings) -> list[str]:
    """Returns a sentence if the environment names a proxy for Groq that aiohttp does not support."""
    proxy = URL(proxy_of(URL(settings.groq_base_url)) or "")
    if settings.groq_api_key is None or proxy.scheme in ("", "http", "https"):
        return []
    name_another = "name one that speaks HTTP (http://host:port), or put Groq's host into NO_PROXY"
    return [f"HTTPS_PROXY or ALL_PROXY: a {proxy.scheme}:// proxy is not supported; {name_another}"]
