"""A stream is committed at its first progress: until then a failure is retried, or has its own HTTP status."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from app.core.upstream import Attempt, UpstreamBrokenEarly, UpstreamError, UpstreamRejected, UpstreamTimeout
from app.services.groq.stream import GroqStream
from app.services.groq_client import GroqClient
from tests.services.groq.clients import PAYLOAD, blocks, open_stream, read_all, settings
from tests.services.groq.shapes import DONE, STREAM, chunk
from tests.support.replay import OK, chunked, replaying

ROLE = chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"})
WORD = chunk({"content": "word"})
END = chunk({}, "stop")
ERROR = b'event: error\ndata: {"error": {"message": "no", "code": "c", "status_code": %d}}\n\n'


@pytest.mark.parametrize(
    ("writes", "kind", "attempts"),
    [
        (chunked(ROLE), UpstreamBrokenEarly, 3),
        (chunked(ROLE, end=False), UpstreamBrokenEarly, 3),
        (chunked(ROLE, DONE), UpstreamBrokenEarly, 3),
        (chunked(ROLE, b"data: {nonsense\n\n"), UpstreamBrokenEarly, 3),
        (chunked(ROLE, chunk({}, x_groq={"error": "out of memory"})), UpstreamBrokenEarly, 3),
        (chunked(ROLE, b'data: {"error": {"message": "no"}}\n\n'), UpstreamBrokenEarly, 3),
        (chunked(ROLE, ERROR % 503), UpstreamError, 3),
        (chunked(ROLE, ERROR % 400), UpstreamRejected, 1),
    ],
    ids=["the body ends", "the connection ends", "[DONE]", "no JSON", "early stop", "no status", "503", "400"],
)
async def test_a_failure_after_the_role_counts_as_before_the_first_token(
    writes: list[bytes], kind: type[UpstreamError], attempts: int
) -> None:
    made: list[Attempt] = []
    with replaying([OK, *writes]) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(kind):
                await open_stream(client, made)
    assert len(made) == attempts


async def test_a_timeout_after_the_role_is_retried() -> None:
    made: list[Attempt] = []
    with replaying([OK, *chunked(ROLE, end=False)], pause_s=5) as url:
        async with GroqClient(settings(url, groq_first_token_timeout_s=0.2, groq_max_attempts=2)) as client:
            with pytest.raises(UpstreamTimeout, match=r"no token within 0\.2 s"):
                await open_stream(client, made)
    assert len(made) == 2


@pytest.mark.parametrize("deltas", [[WORD], [], [chunk({"tool_calls": [{"id": "1"}]})]])
async def test_the_role_is_sent_first_byte_for_byte(deltas: list[bytes]) -> None:
    events = [ROLE, b": comment\n\n", *deltas, END]
    with replaying([OK, *chunked(*events, DONE)], pause_s=0.02) as url:
        async with GroqClient(settings(url)) as client:
            read = await read_all(client)
    assert b"".join(block.data for block in read) == b"".join(events)
    assert read[0].data.startswith(ROLE)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"reasoning": "x", "channel": "analysis"},
        {"reasoning_content": "x"},
        {"refusal": "x"},
        {"tool_calls": [{"index": 0}]},
        {"executed_tools": [{}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
        {"something_new": 1},
    ],
)
async def test_anything_beyond_the_role_is_progress(delta: dict[str, Any]) -> None:
    with replaying([OK, *chunked(ROLE, chunk({"role": "assistant", **delta}), end=False)], pause_s=0.05) as url:
        async with GroqClient(settings(url, groq_max_attempts=1)) as client:
            stream = await open_stream(client)
            assert (await stream.read()).progress_chunks == 1
            await stream.aclose()


async def test_a_request_that_hides_the_reasoning_waits_longer_for_its_first_token() -> None:
    """The model sends nothing while it reasons."""
    limits = {"groq_first_token_timeout_s": 0.1, "groq_hidden_reasoning_timeout_s": 5, "groq_max_attempts": 1}
    made: list[Attempt] = []
    with replaying([OK, *chunked(ROLE, WORD, END, DONE)], pause_s=0.25) as url:
        async with GroqClient(settings(url, **limits)) as client:
            with pytest.raises(UpstreamTimeout):
                await open_stream(client)
            for hidden in ({"include_reasoning": False}, {"reasoning_format": "hidden"}):
                stream = await client.open({**PAYLOAD, **hidden}, on_attempt=made.append)
                await stream.aclose()
    assert [attempt.result for attempt in made] == ["ok", "ok"]


@pytest.mark.parametrize("tail", [[], [chunk({}, usage={"prompt_tokens": 1, "completion_tokens": 2})]])
async def test_a_missing_done_on_an_open_connection_ends_soon_after_the_last_finish_reason(tail: list[bytes]) -> None:
    """The answer is complete when every choice has finished."""
    with replaying([OK, *chunked(ROLE, WORD, END, *tail, end=False), b""], pause_s=0.01, hold_s=20) as url:
        async with GroqClient(settings(url, groq_end_timeout_s=0.2)) as client:
            async with asyncio.timeout(60):
                read = await read_all(client)
    assert read[-1].ended
    assert read[-1].error is None


async def test_a_missing_done_ends_in_time_if_each_read_is_cancelled_before() -> None:
    """As by the keep-alive comments of the chat, if STREAM_KEEPALIVE_S is shorter."""
    with replaying([OK, *chunked(ROLE, WORD, END, end=False), b""], pause_s=0.01, hold_s=20) as url:
        async with GroqClient(settings(url, groq_end_timeout_s=0.3)) as client, asyncio.timeout(10):
            stream = await open_stream(client)
            block = await stream.read()
            while not block.ended:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        block = await stream.read()
            await stream.aclose()
    assert block.error is None


async def test_as_many_choices_are_awaited_as_were_asked_for() -> None:
    """A provider may generate one after the other."""
    with replaying([OK, *chunked(ROLE, WORD, END, end=False)], hold_s=20) as url:
        async with GroqClient(settings(url, groq_end_timeout_s=0.1)) as client:
            stream = await client.open(PAYLOAD | {"n": msgspec.Raw(b"2")}, on_attempt=lambda _: None)
            assert isinstance(stream, GroqStream)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    assert not [block async for block in blocks(stream)]
            await stream.aclose()


async def test_the_end_of_every_choice_is_awaited() -> None:
    second = json.loads(chunk({"content": "x"})[6:])
    second["choices"][0]["index"] = 1
    writes = chunked(ROLE, b"data: %s\n\n" % json.dumps(second).encode(), END, end=False)
    with replaying([OK, *writes], hold_s=20) as url:
        async with GroqClient(settings(url, groq_end_timeout_s=0.1)) as client:
            stream = await open_stream(client)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    assert not [block async for block in blocks(stream)]
            await stream.aclose()


async def test_the_content_type_is_case_insensitive() -> None:
    head = OK.replace(b"text/event-stream", b"Text/Event-Stream; charset=UTF-8")
    with replaying([head, *chunked(STREAM, DONE)]) as url:
        async with GroqClient(settings(url)) as client:
            assert (await read_all(client))[-1].ended
