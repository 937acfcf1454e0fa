"""The client against real sockets: the simulator where it can fail that way, replayed bytes where it cannot."""

import asyncio
import socket

import msgspec
import pytest

from app.core.config import Settings
from app.core.upstream import UpstreamBroken, UpstreamTimeout, UpstreamUnavailable, UpstreamUnreachable
from app.services.groq_client import GroqClient
from tests.services.groq.clients import open_stream, settings
from tests.support.replay import replaying
from tests.support.service import SimulatedGroq


async def test_no_byte_within_the_first_token_timeout_is_a_timeout(groq: SimulatedGroq) -> None:
    groq.fail({"first_byte_delay_s": 10})
    async with GroqClient(settings(groq.url, groq_first_token_timeout_s=0.2, groq_max_attempts=1)) as client:
        with pytest.raises(UpstreamTimeout, match=r"no token within 0\.2 s"):
            await open_stream(client)


async def test_a_refused_connection_is_unreachable_and_not_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with GroqClient(settings(f"http://127.0.0.1:{port}/v1", groq_max_attempts=1)) as client:
        with pytest.raises(UpstreamUnreachable):
            await open_stream(client)


async def test_a_connection_that_is_not_accepted_is_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # the backlog is full now
            limits = {"groq_connect_timeout_s": 0.2, "groq_max_attempts": 1}
            async with GroqClient(settings(f"http://127.0.0.1:{port}/v1", **limits)) as client:
                with pytest.raises(UpstreamTimeout, match=r"no connection to Groq within 0\.2 s"):
                    await open_stream(client)


async def test_another_content_type_is_not_relayed() -> None:
    page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"
    with replaying([page]) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamBroken, match="text/html"):
                await open_stream(client)


@pytest.mark.parametrize("status", [302, 304])
async def test_a_redirect_is_neither_followed_nor_passed_on(status: int) -> None:
    head = f"HTTP/1.1 {status} Elsewhere\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n".encode()
    with replaying([head]) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamBroken) as caught:
                await open_stream(client)
    assert caught.value.status == 502


async def test_a_proxy_is_used_for_groq_and_not_for_a_simulator(
    groq: SimulatedGroq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    simulated = Settings(_env_file=None, groq_simulator_url=groq.url)
    async with GroqClient(simulated) as client:
        await (await open_stream(client)).aclose()
    async with GroqClient(settings(groq.url, groq_max_attempts=1)) as client:
        with pytest.raises(UpstreamUnreachable):
            await open_stream(client)


async def test_the_pool_does_not_limit_the_number_of_streams(groq: SimulatedGroq) -> None:
    """With a limit, a chat would wait for another one to end, and no metric would show it."""
    groq.fail({"silence_s": 20, "after_tokens": 5})
    async with GroqClient(settings(groq.url, groq_max_attempts=1)) as client:
        async with asyncio.timeout(15):
            streams = await asyncio.gather(*[open_stream(client) for _ in range(150)])
        await asyncio.gather(*[stream.aclose() for stream in streams])


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 503 Busy\r\nserver: caf\xc3\xa9\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 503 Busy\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n20000\r\n" + b"x" * 2**17 + b"\r\n",
    ],
    ids=["a header that is not ASCII", "a body that is not what it says", "a body without end"],
)
async def test_a_refusal_with_an_invalid_header_or_body(head: bytes) -> None:
    with replaying([head], pause_s=0.1) as url:
        async with GroqClient(settings(url, groq_max_attempts=1)) as client:
            with pytest.raises(UpstreamUnavailable):
                await open_stream(client)


@pytest.mark.parametrize(
    "head",
    [
        b"content-type: text/html; title=caf\xe9\r\n",
        b"content-type: text/event-stream\r\ncontent-encoding: caf\xe9\r\n",
    ],
)
async def test_an_error_that_quotes_a_header_can_be_rendered(head: bytes) -> None:
    with replaying([b"HTTP/1.1 200 OK\r\n%scontent-length: 2\r\n\r\n{}" % head]) as url:
        async with GroqClient(settings(url, groq_max_attempts=1)) as client:
            with pytest.raises(UpstreamBroken) as raised:
                await open_stream(client)
    assert b"caf" in msgspec.json.encode(raised.value.envelope())


async def test_a_success_without_a_body_is_an_error() -> None:
    with replaying([b"HTTP/1.1 204 No Content\r\n\r\n"]) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamBroken, match="204"):
                await open_stream(client)


async def test_a_request_has_the_url_and_the_headers_of_the_sdk() -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):  # and not GET /models
            received.set_result(head)
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with GroqClient(settings(f"http://127.0.0.1:{port}/openai/v1/", groq_max_attempts=1)) as client:
            with pytest.raises(UpstreamUnreachable):
                await open_stream(client)
    request_line, *lines = (await received).decode().rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert request_line == "POST /openai/v1/chat/completions HTTP/1.1"
    assert len(headers) == len(lines), "each header once"
    assert headers["authorization"] == "Bearer test"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("AsyncOpenAI/Python")
    assert headers["x-stainless-async"] == "async:asyncio"
    assert "openai-organization" not in headers
