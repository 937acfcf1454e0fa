"""Groq's chat completions: attempts, until one makes progress. It knows no database."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any, Self

import aiohttp
import msgspec
from yarl import URL

from app.core.attempt import Attempt
from app.core.config import Settings
from app.core.errors import UpstreamBroken, UpstreamError, UpstreamModelGone, UpstreamTimeout, UpstreamUnreachable
from app.groq.catalogue import Catalogue
from app.groq.connector import create_connector, proxy_of
from app.groq.errors import cause_of, refusal, retry_after_s
from app.groq.flush_scheduler import FlushScheduler
from app.groq.rate_limits import rate_limits
from app.groq.redaction import Redactor
from app.groq.retry import retrying
from app.groq.sdk import Sdk
from app.groq.stream import GroqStream
from app.groq.whole import WholeAnswer, read_whole

_MAX_REFUSAL_BYTES = 2**16
_ENVELOPE_BYTES = 2**16
"""What a whole answer has beside its text: ids, usage, quotes."""
_ENCODINGS = {"", "identity", "gzip", "deflate"}
"""Those that aiohttp decodes. The service asks for `identity`; a proxy may compress all the same."""

_LARGE_BYTES = 2**16
_READ_BUFFER_BYTES = 2**16
"""aiohttp stops receiving at twice as much, until it is read: the most that a block holds, whatever Groq sends."""

_Answer = GroqStream | WholeAnswer


class GroqClient:
    """One pool of connections to Groq, for the life of the process; it is open while its context is entered.

    `catalogue` has Groq's models, which are read over the same connections.
    """

    _session: aiohttp.ClientSession
    _url: URL

    def __init__(self, settings: Settings) -> None:
        base_url, api_key = settings.groq_endpoint
        self._settings = settings
        self.catalogue = Catalogue(settings)
        self._own_models = settings.own_models
        self._fallback = settings.groq_fallback_model and settings.groq_model(settings.groq_fallback_model)
        self._flush_scheduler = FlushScheduler(settings.stream_flush_ms / 1000)
        self._redactor = Redactor(api_key)
        self._sdk = Sdk(base_url=base_url, api_key=api_key)

    async def __aenter__(self) -> Self:
        url, headers = await self._sdk.request()
        self._url = URL(url)
        self._session = aiohttp.ClientSession(
            connector=create_connector(),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER_BYTES,
            # What HTTPS_PROXY says is meant for Groq, and not for a simulator on this machine or network.
            proxy=proxy_of(self._url) if self._settings.groq_api_key is not None else None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.groq_connect_timeout_s),
        )
        self._flush_scheduler.start()
        self.catalogue.start(self._session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.catalogue.stop()
        await self._session.close()
        await self._flush_scheduler.stop()

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[Attempt], None]) -> _Answer:
        """An answer that has made progress (a whole one: that is here), after as many attempts as the settings allow.

        `payload` decides between the two by its `stream`. `on_attempt` is called for each attempt, when it is over.
        Raises an UpstreamError: Groq's refusal, or what went wrong on the way to it.
        """
        deadline = time.monotonic() + self._settings.groq_retry_deadline_s
        try:
            return await self._retried(payload, deadline, on_attempt)
        except UpstreamError as error:
            fallback = self._fallback
            may_help = error.retryable or isinstance(error, UpstreamModelGone)
            if not may_help or fallback in (None, payload["model"]) or deadline <= time.monotonic():
                raise
            with suppress(UpstreamError):  # the client asked for the other model, and receives that one's error
                return await self._attempt({**payload, "model": fallback}, deadline, on_attempt)
            raise

    async def _retried(
        self, payload: Mapping[str, Any], deadline: float, on_attempt: Callable[[Attempt], None]
    ) -> _Answer:
        policy = retrying(
            attempts=self._settings.groq_max_attempts,
            sleep_s=self._settings.groq_retry_sleep_budget_s,
            total_s=self._settings.groq_retry_deadline_s,
        )
        async for attempt in policy:
            with attempt:
                return await self._attempt(payload, deadline, on_attempt)
        raise AssertionError("tenacity returns or raises")  # pragma: no cover

    async def _attempt(
        self, payload: Mapping[str, Any], deadline: float, on_attempt: Callable[[Attempt], None]
    ) -> _Answer:
        attempt = Attempt(model=payload["model"], started=time.monotonic())
        try:
            if payload.get("stream"):
                return await self._stream(payload, deadline, attempt)
            return await self._whole(payload, attempt)
        except BaseException as error:
            if isinstance(error, UpstreamError):
                self._redactor.redact_error(error)
            attempt.error = error
            raise
        finally:
            attempt.ended = time.monotonic()
            on_attempt(attempt)

    async def _stream(self, payload: Mapping[str, Any], deadline: float, attempt: Attempt) -> GroqStream:
        limit_s = min(self._settings.groq_first_token_timeout_s, deadline - attempt.started)
        if _hides_reasoning(payload):
            limit_s = self._settings.groq_hidden_reasoning_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                response = await self._post(payload, attempt)
                stream = GroqStream(
                    response, settings=self._settings, flush_scheduler=self._flush_scheduler, redactor=self._redactor
                )
                await stream.wait_for_progress()
                return stream
        except TimeoutError as exc:
            raise UpstreamTimeout(f"Groq sent no token within {round(limit_s, 1):g} s") from exc

    async def _whole(self, payload: Mapping[str, Any], attempt: Attempt) -> WholeAnswer:
        """Its only time limit is the chat's own: after a timeout it is not repeated, since Groq was paid for it."""
        response = await self._post(payload, attempt)
        limit = self._settings.chat_max_answer_bytes + _ENVELOPE_BYTES
        return await read_whole(response, max_bytes=limit, redactor=self._redactor)

    async def _post(self, payload: Mapping[str, Any], attempt: Attempt) -> aiohttp.ClientResponse:
        body = msgspec.json.encode(payload)
        try:
            # The key goes to nobody else: redirects are not followed.
            response = await self._session.post(self._url, data=_pieces(body), allow_redirects=False)
        except aiohttp.ServerTimeoutError as exc:
            limit_s = self._settings.groq_connect_timeout_s
            timeout = UpstreamTimeout(f"no connection to Groq within {limit_s:g} s")
            timeout.cause = cause_of(exc)
            raise timeout from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise _unreachable("Groq cannot be reached", exc) from exc
        attempt.headers_at = time.monotonic()
        attempt.status = response.status
        attempt.rate_limits = rate_limits(response.headers)
        encoding = response.headers.get("content-encoding", "").lower()
        if encoding not in _ENCODINGS:
            response.close()
            raise UpstreamBroken(f"Groq's answer is compressed ({encoding[:40]}), which this service did not ask for")
        if response.status != HTTPStatus.OK:
            raise await self._refusal(response, is_ours=payload["model"] in self._own_models)
        return response

    async def _refusal(self, response: aiohttp.ClientResponse, *, is_ours: bool) -> UpstreamError:
        try:
            async with response:
                body = await _first_bytes(response.content)
        except aiohttp.ClientPayloadError as exc:
            if not isinstance(exc.__cause__, aiohttp.http_exceptions.ContentEncodingError):
                return _unreachable("the connection to Groq broke off", exc)
            body = b""  # it is not compressed as its header says: the status has to do
        except (aiohttp.ClientError, OSError) as exc:
            return _unreachable("the connection to Groq broke off", exc)
        error = refusal(
            response.status,
            body,
            content_type=response.headers.get("content-type", ""),
            retry_after=retry_after_s(response.headers.get("retry-after")),
            is_ours=is_ours,
        )
        error.upstream_request_id = response.headers.get("x-request-id")
        return error


def _hides_reasoning(payload: Mapping[str, Any]) -> bool:
    include, kind = _plain(payload.get("include_reasoning")), _plain(payload.get("reasoning_format"))
    return include is False or kind == "hidden"


def _plain(value: Any) -> Any:
    """The value of a field that may be JSON text, as the client wrote it."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def _unreachable(message: str, exc: Exception) -> UpstreamUnreachable:
    error = UpstreamUnreachable(message)
    error.cause = cause_of(exc)
    error.__cause__ = exc
    return error


def _pieces(body: bytes) -> bytes | BytesIO:
    """A large body as a file: aiohttp sends it in pieces, and lets other tasks run in between."""
    return body if len(body) <= _LARGE_BYTES else BytesIO(body)


async def _first_bytes(body: aiohttp.StreamReader) -> bytes:
    """As much as an error object may need."""
    data = b""
    while len(data) < _MAX_REFUSAL_BYTES and (more := await body.readany()):
        data += more
    return data
