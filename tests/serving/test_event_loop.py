"""DNS lookups: one without an answer blocks no other."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.serving.event_loop import Loop
from tests.support.processes import run

SILENT = "silent.test"


class NameServer:
    """Answers for `SILENT` once `may_answer` is set, and for other names at once."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.lookups: list[str] = []
        self.addresses = ["127.0.0.1"]
        self.error: Exception | None = None

    def __call__(self, host: str, port: int, *_: Any) -> list[Any]:
        self.lookups.append(host)
        if host == SILENT:
            assert self.may_answer.wait(10)
        if self.error:
            raise self.error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    names = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield names
    names.may_answer.set()


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": Loop}


def lookup_threads() -> int:
    return sum(thread.name.startswith("lookup of ") for thread in threading.enumerate())


async def test_lookup_without_an_answer_uses_one_thread_and_blocks_no_other(names: NameServer) -> None:
    running = asyncio.get_running_loop()
    for _ in range(20):  # like pings that time out and are repeated
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running.create_connection(asyncio.Protocol, SILENT, 1), 0.01)
    assert (lookup_threads(), names.lookups) == (1, [SILENT])
    assert (await running.getaddrinfo("other.test", 80))[0][4] == ("127.0.0.1", 80)
    waiting = [asyncio.ensure_future(running.getaddrinfo(SILENT, 1, type=socket.SOCK_STREAM)) for _ in range(3)]
    await asyncio.sleep(0)
    names.may_answer.set()
    assert [found[0][4] for found in await asyncio.gather(*waiting)] == [("127.0.0.1", 1)] * 3
    assert names.lookups == [SILENT, "other.test"]
    await running.getaddrinfo(SILENT, 1)  # answers are not cached
    assert names.lookups == [SILENT, "other.test", SILENT]


async def test_unknown_name_raises(names: NameServer) -> None:
    names.error = socket.gaierror(socket.EAI_NONAME, "no such name")
    for _ in range(2):
        with pytest.raises(socket.gaierror, match="no such name"):
            await asyncio.open_connection("other.test", 1)


async def test_other_addresses_are_not_tried_after_a_failure_of_tls(names: NameServer) -> None:
    names.addresses = ["127.0.0.1", "127.0.0.2"]
    connections = []

    def answer_in_plain_text(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(b"220 not TLS\r\n")
        writer.close()

    async with await asyncio.start_server(answer_in_plain_text, "0.0.0.0", 0) as server:
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("tls.test", port_of(server), ssl=ssl.create_default_context())
    assert len(connections) == 1


async def test_next_address_is_tried_after_a_refused_connection(names: NameServer) -> None:
    names.addresses = ["127.0.0.2", "127.0.0.1"]
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = port_of(server)
        _, writer = await asyncio.open_connection("other.test", port)
        assert writer.get_extra_info("peername") == ("127.0.0.1", port)
        writer.close()
        names.addresses = ["127.0.0.2"]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("other.test", port)


@pytest.mark.usefixtures("names")
async def test_tls_handshake_has_the_name_and_not_the_address() -> None:
    """The first bytes of a TLS connection have the name in plain text."""
    hello: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.set_result(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        with pytest.raises(OSError):  # noqa: PT011 - however the server closes the connection
            await asyncio.open_connection("other.test", port_of(server), ssl=ssl.create_default_context())
        assert b"other.test" in await hello


async def test_address_is_not_looked_up(names: NameServer) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.close()
    assert names.lookups == []


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def test_process_ends_during_a_lookup(tmp_path: Path) -> None:
    (tmp_path / "ending.py").write_text(
        "import asyncio, socket, time\n"
        "from app.serving.event_loop import Loop\n"
        "socket.getaddrinfo = lambda *_: time.sleep(3600)\n"
        "async def look_up():\n"
        "    try: await asyncio.wait_for(asyncio.open_connection('silent.test', 1), 0.1)\n"
        "    except TimeoutError: print('timed out')\n"
        "with asyncio.Runner(loop_factory=Loop) as runner: runner.run(look_up())\n"
    )
    assert run(["ending"], cwd=tmp_path) == (0, "timed out\n")
