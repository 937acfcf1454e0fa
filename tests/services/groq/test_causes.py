"""Why Groq could not be reached: recorded for the operator, and hidden from the client."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from app.core.upstream import CONNECTION_CAUSES, Attempt, UpstreamError
from app.services.groq.errors import cause_of
from app.services.groq_client import GroqClient
from tests.services.groq.certificates import certificate
from tests.services.groq.clients import open_stream, settings
from tests.services.groq.shapes import STREAM
from tests.support.ports import free_port
from tests.support.replay import OK, chunked, replaying


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address that accepts no connection and refuses none."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """A server whose certificate no client here trusts."""
    context, _ = certificate(folder)
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True):
            pass

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.getsockname()[1]}/v1"
    finally:
        thread.join()
        server.close()


@pytest.mark.parametrize(
    "cause",
    [
        "dns_failure", "connect_refused", "connect_timeout", "tls_failure", "proxy_failure", "connection_reset",
        "connection_closed", "protocol_error",
    ],
)  # fmt: skip
async def test_each_cause_is_recorded_and_hidden_from_the_client(
    cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        url = f"http://127.0.0.1:{free_port()}/v1"
        match cause:
            case "dns_failure":
                url = "http://groq.invalid/v1"
            case "connect_timeout":
                url = stack.enter_context(full_backlog())
            case "tls_failure":
                url = stack.enter_context(untrusted(tmp_path))
            case "proxy_failure":
                monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
                url = "http://groq.invalid/v1"
            case "connection_reset":
                url = stack.enter_context(replaying([], reset=True))
            case "connection_closed":
                url = stack.enter_context(replaying([]))
            case "protocol_error":
                url = stack.enter_context(replaying([b"220 not HTTP\r\n\r\n"]))
            case _:
                assert cause == "connect_refused"
        attempts: list[Attempt] = []
        async with GroqClient(settings(url, groq_max_attempts=1, groq_connect_timeout_s=0.3)) as client:
            with pytest.raises(UpstreamError) as caught:
                await open_stream(client, attempts)
    assert [attempt.cause for attempt in attempts] == [cause]
    assert cause in CONNECTION_CAUSES
    for words in (cause, "dns", "refused", "certificate", "reset"):
        assert words not in str(caught.value.envelope()).lower()


async def test_a_broken_stream_has_a_cause() -> None:
    with replaying([OK, *chunked(STREAM[:600], end=False)], reset=True, pause_s=0.05) as url:
        async with GroqClient(settings(url)) as client:
            stream = await open_stream(client)
            block = await stream.read()
            while not block.error:
                block = await stream.read()
            await stream.aclose()
    assert isinstance(block.error, UpstreamError)
    assert block.error.cause in ("connection_reset", "connection_closed")


def test_the_cause_of_an_os_error() -> None:
    assert cause_of(ssl.SSLError("x")) == "connection_failed"
    assert cause_of(ConnectionRefusedError()) == "connect_refused"
    assert cause_of(OSError(113, "no route")) == "connection_failed"


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_cancelled_attempt_says_whether_its_request_was_sent(*, accepts: bool) -> None:
    """If it was, the provider bills it."""
    attempts: list[Attempt] = []
    with replaying([], hold_s=9) if accepts else full_backlog() as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await open_stream(client, attempts)
    assert [(attempt.result, attempt.sent) for attempt in attempts] == [("cancelled", accepts)]
