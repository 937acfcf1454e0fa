"""Groq's chat completions through the openai SDK, as blocks of bytes.

The SDK builds the request and maps the errors; its typed objects, one per token, stay out of the path.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self, cast

import aiohttp
import httpx2
import msgspec
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, AsyncStream, DefaultAioHttpClient

from app.core.attempt import Attempt
from app.core.config import Settings
from app.core.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from app.groq.errors import error_from
from app.groq.ratelimits import rate_limits
from app.groq.retry import retrying
from app.groq.stream import GroqStream

_HEADERS = {
    "accept": "text/event-stream",
    # Compressed events would have to be unpacked before they could be relayed.
    "accept-encoding": "identity",
    "content-type": "application/json",
}


class GroqClient:
    """One pool of connections to Groq, for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        base_url, api_key = settings.groq_endpoint
        self._settings = settings
        self._sdk = AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # tenacity retries; twice would multiply
            http_client=DefaultAioHttpClient(
                follow_redirects=False,  # nobody else is to be sent the key
                # What HTTP_PROXY says is meant for Groq, and not for a simulator on this machine or network.
                trust_env=settings.groq_api_key is not None,
                # Admission bounds the streams; a pool that queued them would hide the wait. 0 is aiohttp's word for no
                # limit: with None, the SDK's transport would keep aiohttp's own, a hundred.
                limits=httpx2.Limits(max_connections=0, max_keepalive_connections=None, keepalive_expiry=60),
                timeout=httpx2.Timeout(None, connect=settings.groq_connect_timeout_s),
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sdk.close()

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[Attempt], None]) -> GroqStream:
        """An answer whose first byte is here, after as many attempts as the settings allow.

        `on_attempt` is told of each, when it is over. Raises an UpstreamError: Groq's refusal, or what went wrong on
        the way to it.
        """
        deadline = time.monotonic() + self._settings.groq_open_timeout_s
        try:
            return await self._patiently(payload, deadline, on_attempt)
        except UpstreamError as error:
            fallback = self._settings.groq_fallback_model
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
            attempt.error = error
            raise
        finally:
            attempt.ended = time.monotonic()
            on_attempt(attempt)

    async def _first_byte(self, body: bytes, limit_s: float, attempt: Attempt) -> GroqStream:
        try:
            async with asyncio.timeout(limit_s):
                response = await self._post(body, attempt)
                stream = GroqStream(response, max_event_bytes=self._settings.groq_max_event_bytes)
                await stream.await_first()
                return stream
        except TimeoutError as exc:
            raise UpstreamTimeout(f"Groq sent nothing within {round(limit_s, 1):g} s") from exc

    async def _post(self, body: bytes, attempt: Attempt) -> httpx2.Response:
        try:
            answer = await self._sdk.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                content=body,
                options={"headers": _HEADERS},
                stream=True,
                stream_cls=AsyncStream[object],
            )
        except APIStatusError as exc:
            _note_headers(exc.response, attempt)
            raise _refusal(exc) from exc
        except APIConnectionError as exc:
            if _timed_out(exc):
                limit_s = self._settings.groq_connect_timeout_s
                raise UpstreamTimeout(f"no connection to Groq within {limit_s:g} s") from exc
            raise UpstreamUnreachable("Groq cannot be reached") from exc
        except (httpx2.HTTPError, aiohttp.ClientError) as exc:  # while the body of an error was read
            raise UpstreamUnreachable("the connection to Groq broke off") from exc
        response = cast("httpx2.Response", answer)  # what cast_to asks for; the SDK's types know only the stream
        _note_headers(response, attempt)
        return response


def _note_headers(response: httpx2.Response, attempt: Attempt) -> None:
    attempt.headers_at = time.monotonic()
    attempt.status = response.status_code
    attempt.rate_limits = rate_limits(response.headers)


def _refusal(exc: APIStatusError) -> UpstreamError:
    said = exc.body if isinstance(exc.body, Mapping) else {}
    error = error_from(exc.status_code, said, retry_after=_seconds(exc.response.headers.get("retry-after")))
    error.groq_request_id = exc.response.headers.get("x-request-id")
    return error


def _timed_out(exc: APIConnectionError) -> bool:
    """The SDK's aiohttp transport calls every failed connection a timeout; its causes tell whether time ran out."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return True
        cause = cause.__cause__
    return False


def _seconds(header: str | None) -> float | None:
    """Groq sends whole seconds; anything else is as good as nothing."""
    return float(header) if header is not None and header.isdecimal() else None
