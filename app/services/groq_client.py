"""Groq's chat completions: attempts, until one makes progress. It knows no database."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Self

from app.core.config import Settings
from app.core.upstream import Attempt, UpstreamError, UpstreamModelGone, UpstreamTimeout
from app.schemas.chat import decoded, hides_reasoning
from app.services.groq.catalogue import Catalogue
from app.services.groq.chunks import MAX_CHOICES
from app.services.groq.errors import Redactor
from app.services.groq.flush_scheduler import FlushScheduler
from app.services.groq.http import GroqHttp
from app.services.groq.non_streaming import GroqCompletion, read_completion
from app.services.groq.retry import create_retry_policy
from app.services.groq.stream import GroqStream

_ENVELOPE_BYTES = 2**16
"""Bytes that an answer without `stream` may have beside its text: ids, usage, JSON's punctuation."""

_Answer = GroqStream | GroqCompletion
_OnAttempt = Callable[[Attempt], None]


class GroqClient:
    """Implements `services.chat.ports.Upstream`. One per process; its context opens its connections.

    `catalogue` has Groq's models, which are read over the same connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.catalogue = Catalogue(settings)
        self._fallback_model = settings.groq_fallback_model and settings.model_id(settings.groq_fallback_model)
        self._flush_scheduler = FlushScheduler(settings.stream_flush_ms / 1000)
        _, api_key = settings.groq_endpoint
        self._redactor = Redactor(api_key)
        self._http = GroqHttp(settings)
        self._retry_policy = create_retry_policy(
            max_attempts=settings.groq_max_attempts,
            sleep_budget_s=settings.groq_retry_sleep_budget_s,
            deadline_s=settings.groq_retry_deadline_s,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._http)
        await self._stack.enter_async_context(self._flush_scheduler.measuring())
        await self._stack.enter_async_context(self.catalogue.refreshing(self._http.session))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, payload: Mapping[str, Any], *, on_attempt: _OnAttempt) -> _Answer:
        """Returns an answer that has made progress, or a whole one if `payload` has no `stream`.

        Makes as many attempts as the settings allow, and calls `on_attempt` when each ends. Raises an UpstreamError:
        Groq's error response, or why there is no response.
        """
        deadline = time.monotonic() + self._settings.groq_retry_deadline_s
        try:
            return await self._open_with_retries(payload, deadline, on_attempt)
        except UpstreamError as error:
            fallback = self._fallback_model
            may_help = error.retryable or isinstance(error, UpstreamModelGone)
            if not may_help or fallback in (None, payload["model"]) or deadline <= time.monotonic():
                raise
            # If the fallback fails too, the client receives the error of the model that it asked for.
            with suppress(UpstreamError):
                return await self._attempt({**payload, "model": fallback}, deadline, on_attempt)
            raise

    async def _open_with_retries(self, payload: Mapping[str, Any], deadline: float, on_attempt: _OnAttempt) -> _Answer:
        async for attempt in self._retry_policy.copy():  # it has the state of one chat
            with attempt:
                return await self._attempt(payload, deadline, on_attempt)
        raise AssertionError("tenacity returns or raises")  # pragma: no cover

    async def _attempt(self, payload: Mapping[str, Any], deadline: float, on_attempt: _OnAttempt) -> _Answer:
        attempt = Attempt(model=payload["model"], started=time.monotonic())
        try:
            if payload.get("stream"):
                return await self._open_stream(payload, deadline, attempt)
            return await self._complete(payload, attempt)
        except BaseException as error:
            if isinstance(error, UpstreamError):
                self._redactor.redact_error(error)
            attempt.error = error
            raise
        finally:
            attempt.ended = time.monotonic()
            on_attempt(attempt)

    async def _open_stream(self, payload: Mapping[str, Any], deadline: float, attempt: Attempt) -> GroqStream:
        choices = _choices(payload)
        limit_s = min(self._settings.groq_first_token_timeout_s, deadline - attempt.started)
        if hides_reasoning(payload):
            # Longer than the retry deadline: the model sends nothing while it reasons.
            limit_s = self._settings.groq_hidden_reasoning_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                stream = GroqStream(
                    await self._http.post(payload, attempt),
                    settings=self._settings,
                    flush_scheduler=self._flush_scheduler,
                    redactor=self._redactor,
                    choices=choices,
                )
                await stream.wait_for_progress()
                return stream
        except TimeoutError as exc:
            raise UpstreamTimeout(f"Groq sent no token within {round(limit_s, 1):g} s") from exc

    async def _complete(self, payload: Mapping[str, Any], attempt: Attempt) -> GroqCompletion:
        """Its only time limit is the chat's own: after a timeout it is not repeated, since Groq has billed it."""
        response = await self._http.post(payload, attempt)
        max_bytes = self._settings.chat_max_answer_bytes + _ENVELOPE_BYTES
        return await read_completion(response, max_bytes=max_bytes, redactor=self._redactor)


def _choices(payload: Mapping[str, Any]) -> int:
    """How many choices the answer will have; one if `n` is no number that a provider accepts."""
    wanted = decoded(payload.get("n"))
    return wanted if isinstance(wanted, int) and 1 <= wanted <= MAX_CHOICES else 1
