"""No client receives what arrived on a connection before the client's own request was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.core.upstream import UpstreamUnreachable
from app.services.groq_client import GroqClient
from tests.services.groq.certificates import certificate
from tests.services.groq.clients import read_all, settings
from tests.services.groq.shapes import DONE, chunk
from tests.support.replay import OK, chunked

_Idle = Callable[[asyncio.StreamWriter], Awaitable[None]]
POISON = b"".join([OK, *chunked(chunk({"content": "another client's answer"}, "stop"), DONE)])


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Their transports differ, and the service runs on both."""
    return "asyncio", {"use_uvloop": request.param}


def answer(number: int) -> bytes:
    return b"".join([OK, *chunked(chunk({"content": f"answer {number}"}, "stop"), DONE)])


@asynccontextmanager
async def upstream(idle: _Idle, context: ssl.SSLContext | None) -> AsyncIterator[tuple[int, list[int]]]:
    """Answers each POST in turn, and does `idle` once the first answer is over. Yields its port, and a list that gets
    the number of the connection of each request.
    """
    served: list[int] = []
    connections = 0
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET"):  # the catalogue
                    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    return
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
                served.append(mine)
                writer.write(answer(len(served)))
                if len(served) == 1:
                    tasks.add(asyncio.ensure_future(idle(writer)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], served
        await asyncio.gather(*tasks)


def sends(data: bytes, *, closes: bool = False) -> _Idle:
    async def idle(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)  # the client has returned the connection to its pool
        writer.write(data)
        if closes:
            writer.close()

    return idle


IDLE = {
    "nothing": (sends(b""), 1),
    "a whole response": (sends(POISON), 2),
    "half a head": (sends(POISON[:20]), 2),
    "a line end": (sends(b"\r\n"), 2),
    "a 408, and then the end": (sends(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n", closes=True), 2),
    "the end": (sends(b"", closes=True), 2),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("happens", IDLE)
async def test_what_a_connection_received_while_idle_is_not_an_answer(
    happens: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, secure: bool
) -> None:
    idle, last_connection = IDLE[happens]
    context = None
    if secure:
        context, authority = certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    async with upstream(idle, context) as (port, served):
        scheme = "https" if secure else "http"
        async with GroqClient(settings(f"{scheme}://127.0.0.1:{port}/openai/v1", groq_max_attempts=1)) as client:
            texts = []
            for _ in range(3):
                texts.append("".join("".join(block.text) for block in await read_all(client)))
                await asyncio.sleep(0.15)
    assert texts == ["answer 1", "answer 2", "answer 3"]
    assert len(set(served)) == last_connection


async def test_a_server_that_speaks_first_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = aiohttp.TCPConnector.connect

    async def slow_connect(*arguments: Any) -> Any:
        connection = await connect(*arguments)
        try:
            await asyncio.sleep(0.05)  # until the event loop has read what the server sent
        except asyncio.CancelledError:  # the request for the catalogue
            connection.close()
            raise
        return connection

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", slow_connect)
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(POISON)
        asked.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/openai/v1"
        async with GroqClient(settings(url, groq_max_attempts=1)) as client:
            with pytest.raises(UpstreamUnreachable):
                await read_all(client)
    assert set(asked) == {b""}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_what_the_socket_received_and_the_loop_has_not_read_is_not_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, secure: bool
) -> None:
    """It came before the request, but the event loop, which was busy, has not read it yet."""
    context = None
    if secure:
        context, authority = certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    poisoned = asyncio.Event()

    async def poison(writer: asyncio.StreamWriter) -> None:
        await poisoned.wait()
        writer.write(POISON)  # in the same turn of the event loop in which the client sends its next request

    async with upstream(poison, context) as (port, served):
        scheme = "https" if secure else "http"
        async with GroqClient(settings(f"{scheme}://127.0.0.1:{port}/openai/v1", groq_max_attempts=1)) as client:
            await read_all(client)
            await asyncio.sleep(0.1)
            poisoned.set()
            await asyncio.sleep(0)
            second = "".join("".join(block.text) for block in await read_all(client))
    assert second == "answer 2"
    assert len(set(served)) == 2
