"""Which failures are retried, how often and for how long; over real sockets."""

import time
from typing import Any

import pytest

from app.core.upstream import (
    Attempt,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from app.services.groq_client import GroqClient
from tests.services.groq.clients import PAYLOAD, open_stream, settings
from tests.support.replay import OK, chunked, replaying
from tests.support.service import SimulatedGroq


@pytest.mark.parametrize("status", [408, 409, 425, 498, 500, 501, 502, 503, 504, 520, 529])
async def test_failures_of_groq_are_retried(groq: SimulatedGroq, status: int) -> None:
    groq.fail({"status": status, "times": 2})
    attempts: list[Attempt] = []
    async with GroqClient(settings(groq.url)) as client:
        await (await open_stream(client, attempts)).aclose()
    assert len(attempts) == 3


@pytest.mark.parametrize("status", [400, 404, 413, 422, 424])
async def test_a_rejected_request_is_not_retried(groq: SimulatedGroq, status: int) -> None:
    groq.fail({"status": status})
    attempts: list[Attempt] = []
    async with GroqClient(settings(groq.url)) as client:
        with pytest.raises(UpstreamRejected) as caught:
            await open_stream(client, attempts)
    assert caught.value.status == status
    assert caught.value.upstream_request_id
    assert caught.value.upstream_request_id.startswith("req_")
    assert len(attempts) == 1


@pytest.mark.parametrize("fallback", ["openai/gpt-oss-120b", "other"])
async def test_the_fallback_model_gets_one_attempt_after_the_last(groq: SimulatedGroq, fallback: str) -> None:
    """By either of its names."""
    model = str(PAYLOAD["model"])
    groq.fail({"status": 503, "model": model})
    attempts: list[Attempt] = []
    aliases = {"other": "openai/gpt-oss-120b"}
    async with GroqClient(settings(groq.url, groq_fallback_model=fallback, groq_model_aliases=aliases)) as client:
        stream = await open_stream(client, attempts)
        assert (await stream.read()).model == "openai/gpt-oss-120b"
        await stream.aclose()
    assert [(each.model, each.result) for each in attempts] == [
        *[(model, "upstream_unavailable")] * 3,
        ("openai/gpt-oss-120b", "ok"),
    ]


async def test_a_retry_after_beyond_the_budget_uses_the_fallback_model_at_once(groq: SimulatedGroq) -> None:
    groq.fail({"status": 429, "retry_after_s": 600, "model": str(PAYLOAD["model"])})
    attempts: list[Attempt] = []
    async with GroqClient(settings(groq.url, groq_fallback_model="openai/gpt-oss-120b")) as client:
        await (await open_stream(client, attempts)).aclose()
    assert [each.result for each in attempts] == ["rate_limit_exceeded", "ok"]


async def test_if_the_fallback_fails_too_the_error_is_the_requested_model_s(
    groq: SimulatedGroq,
) -> None:
    groq.fail({"status": 429, "retry_after_s": 600, "times": 1}, {"status": 404})
    attempts: list[Attempt] = []
    async with GroqClient(settings(groq.url, groq_fallback_model="no-such-model")) as client:
        with pytest.raises(UpstreamRateLimited) as caught:
            await open_stream(client, attempts)
    assert caught.value.retry_after == 600
    assert [each.result for each in attempts] == ["rate_limit_exceeded", "upstream_model_gone"]


@pytest.mark.parametrize(
    ("fault", "fallback"),
    [
        ({"status": 400}, "openai/gpt-oss-120b"),
        ({"status": 503}, str(PAYLOAD["model"])),
        ({"status": 503}, "llama-3.3-8b-instant"),  # which is the same
    ],
)
async def test_a_rejected_request_and_the_fallback_model_itself_have_no_fallback(
    groq: SimulatedGroq, fault: dict[str, Any], fallback: str
) -> None:
    groq.fail(fault)
    attempts: list[Attempt] = []
    async with GroqClient(settings(groq.url, groq_fallback_model=fallback)) as client:
        with pytest.raises(UpstreamError):
            await open_stream(client, attempts)
    assert {each.model for each in attempts} == {PAYLOAD["model"]}


async def test_attempts_are_bounded(groq: SimulatedGroq) -> None:
    groq.fail({"status": 503})
    attempts: list[Attempt] = []
    async with GroqClient(settings(groq.url)) as client:
        with pytest.raises(UpstreamUnavailable):
            await open_stream(client, attempts)
    assert len(attempts) == 3


async def test_retry_after_is_respected_within_the_budget_and_passed_on_beyond(groq: SimulatedGroq) -> None:
    groq.fail({"status": 429, "retry_after_s": 1, "times": 1}, {"status": 429, "retry_after_s": 9})
    attempts: list[Attempt] = []
    async with GroqClient(settings(groq.url)) as client:
        started = time.monotonic()
        with pytest.raises(UpstreamRateLimited) as caught:
            await open_stream(client, attempts)
        assert time.monotonic() - started >= 1
    assert caught.value.retry_after == 9
    assert len(attempts) == 2


async def test_an_error_event_before_the_first_token_is_retried() -> None:
    event = b'event: error\ndata: {"error":{"message":"busy","status_code":503}}\n\n'
    attempts: list[Attempt] = []
    with replaying([OK, *chunked(event)]) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamUnavailable, match="busy"):
                await open_stream(client, attempts)
    assert len(attempts) == 3


@pytest.mark.parametrize(
    "writes",
    [
        [],
        [b"220 not HTTP\r\n\r\n"],
        [b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\n{"],
        [OK],
        [OK, b"0\r\n\r\n"],
    ],
)
async def test_a_connection_that_breaks_before_the_first_byte_is_retried(writes: list[bytes]) -> None:
    attempts: list[Attempt] = []
    with replaying(writes) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamUnreachable):
                await open_stream(client, attempts)
    assert len(attempts) == 3


async def test_all_attempts_share_one_deadline(groq: SimulatedGroq) -> None:
    groq.fail({"first_byte_delay_s": 10})
    async with GroqClient(settings(groq.url, groq_retry_deadline_s=0.3)) as client:
        started = time.monotonic()
        with pytest.raises(UpstreamTimeout, match=r"within 0\.3 s"):
            await open_stream(client)
        assert time.monotonic() - started < 5
