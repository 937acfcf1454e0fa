"""Groq's chat completions as blocks of bytes: attempts, until one is answered."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import msgspec
from yarl import URL

from app.core.attempt import Attempt
from app.core.config import Settings
from app.core.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from app.groq.errors import error_from
from app.groq.frames import Frames
from app.groq.ratelimits import rate_limits
from app.groq.retry import retrying
from app.groq.sdk import Sdk
from app.groq.secret import Secret
from app.groq.stream import GroqStream

_KEEPALIVE_S = 60
_MAX_REFUSAL_BYTES = 2**16
_LARGE_BYTES = 2**16


class GroqClient:
    """One pool of connections to Groq, for the life of the process; it is open while its context is entered."""

    _session: aiohttp.ClientSession
    _url: URL

    def __init__(self, settings: Settings) -> None:
        base_url, api_key = settings.groq_endpoint
        self._settings = settings
        self._fallback = settings.groq_fallback_model and settings.groq_model(settings.groq_fallback_model)
        self._frames = Frames(settings.stream_flush_ms / 1000)
        self._secret = Secret(api_key)
        self._sdk = Sdk(base_url=base_url, api_key=api_key)

    async def __aenter__(self) -> Self:
        url, headers = await self._sdk.request()
        self._url = URL(url)
        self._session = aiohttp.ClientSession(
            # Admission bounds the streams; a pool that queued them would hide the wait.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S, ssl=httpx2.create_ssl_context()),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # What HTTPS_PROXY says is meant for Groq, and not for a simulator on this machine or network.
            proxy=_proxy_of(self._url) if self._settings.groq_api_key is not None else None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.groq_connect_timeout_s),
        )
        self._frames.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._frames.stop()

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[Attempt], None]) -> GroqStream:
        """An answer whose first byte is here, after as many attempts as the settings allow.

        `on_attempt` is told of each, when it is over. Raises an UpstreamError: Groq's refusal, or what went wrong on
        the way to it.
        """
        deadline = time.monotonic() + self._settings.groq_open_timeout_s
        try:
            return await self._patiently(payload, deadline, on_attempt)
        except UpstreamError as error:
            fallback = self._fallback
            if not error.retryable or fallback in (None, payload["model"]) or deadline <= time.monotonic():
                raise
            with suppress(UpstreamError):  # the client asked for the other model, and is told of that one
                return await self._attempt({**payload, "model": fallback}, deadline, on_attempt)
            raise

    async def _patiently(
        self, payload: Mapping[str, Any], deadline: float, on_attempt: Callable[[Attempt], None]
    ) -> GroqStream:
        policy = retrying(
            attempts=self._settings.groq_max_attempts,
            sleep_s=self._settings.groq_retry_wait_s,
            total_s=self._settings.groq_open_timeout_s,
        )
        async for attempt in policy:
            with attempt:
                return await self._attempt(payload, deadline, on_attempt)
        raise AssertionError("tenacity returns or raises")  # pragma: no cover

    async def _attempt(
        self, payload: Mapping[str, Any], deadline: float, on_attempt: Callable[[Attempt], None]
    ) -> GroqStream:
        attempt = Attempt(model=payload["model"], started=time.monotonic())
        limit_s = min(self._settings.groq_first_token_timeout_s, deadline - attempt.started)
        try:
            return await self._first_byte(msgspec.json.encode(payload), limit_s, attempt)
        except BaseException as error:
            if isinstance(error, UpstreamError):
                self._secret.hide_in(error)
            attempt.error = error
            raise
        finally:
            attempt.ended = time.monotonic()
            on_attempt(attempt)

    async def _first_byte(self, body: bytes, limit_s: float, attempt: Attempt) -> GroqStream:
        try:
            async with asyncio.timeout(limit_s):
                response = await self._post(body, attempt)
                stream = GroqStream(
                    response,
                    max_event_bytes=self._settings.groq_max_event_bytes,
                    frames=self._frames,
                    secret=self._secret,
                )
                await stream.await_first()
                return stream
        except TimeoutError as exc:
            raise UpstreamTimeout(f"Groq sent nothing within {round(limit_s, 1):g} s") from exc

    async def _post(self, body: bytes, attempt: Attempt) -> aiohttp.ClientResponse:
        try:
            # Nobody else is to be sent the key: redirects are not followed.
            response = await self._session.post(self._url, data=_payload(body), allow_redirects=False)
        except aiohttp.ServerTimeoutError as exc:
            limit_s = self._settings.groq_connect_timeout_s
            raise UpstreamTimeout(f"no connection to Groq within {limit_s:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise UpstreamUnreachable("Groq cannot be reached") from exc
        attempt.headers_at = time.monotonic()
        attempt.status = response.status
        attempt.rate_limits = rate_limits(response.headers)
        if response.status != HTTPStatus.OK:
            raise await self._refusal(response)
        return response

    async def _refusal(self, response: aiohttp.ClientResponse) -> UpstreamError:
        try:
            async with response:
                exc = self._sdk.refusal(response.status, response.headers, await _beginning_of(response.content))
        except (aiohttp.ClientError, OSError) as broken:
            raise UpstreamUnreachable("the connection to Groq broke off") from broken
        said = exc.body if isinstance(exc.body, Mapping) else {}
        error = error_from(exc.status_code, said, retry_after=_seconds(response.headers.get("retry-after")))
        error.groq_request_id = exc.request_id
        return error


def _payload(body: bytes) -> bytes | BytesIO:
    """Aiohttp sends a file in pieces, and lets others run in between."""
    return body if len(body) <= _LARGE_BYTES else BytesIO(body)


async def _beginning_of(body: aiohttp.StreamReader) -> bytes:
    """As much as an error may need."""
    data = b""
    while len(data) < _MAX_REFUSAL_BYTES and (more := await body.readany()):
        data += more
    return data


def _proxy_of(url: URL) -> str | None:
    """As the environment says. aiohttp's own way of asking it reads ~/.netrc for each request, in a thread."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(url.host or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _seconds(header: str | None) -> float | None:
    """Groq sends whole seconds; anything else is as good as nothing."""
    return float(header) if header is not None and header.isdecimal() else None
