"""The benchmark's ends agree with each other, each server relays every token."""

import asyncio
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from loadtests.bench.clients import Chat, Load, ask
from loadtests.bench.measure import measure
from loadtests.bench.servers import (
    ALL_OFF,
    ALL_ON,
    BASE_OFF,
    BASE_ON,
    DIRECT,
    NGINX,
    TENSORZERO,
    nginx,
    started,
)
from loadtests.bench.stage import Stage, stage
from tests.support.processes import PROJECT, program
from tests.support.shared import SharedResources
from tests.support.tools import do_without

LOAD = Load(tokens=20, rate=1000, first_ms=5, clients=3, seconds=0.2)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with program(["loadtests.bench.upstream"], cwd=tmp_path_factory.mktemp("upstream")) as running:
        yield urlsplit(running.url()).port or 0


@pytest.fixture(scope="module")
def around(shared: SharedResources) -> Iterator[Stage]:
    with stage(shared.open_folder("bench")) as real:
        yield real


@pytest.mark.parametrize(
    "load",
    [LOAD, replace(LOAD, arrivals_per_s=50), replace(LOAD, tokens=1, once=True), replace(LOAD, burst_every_s=0.1)],
)
def test_clients_read_every_token(upstream: int, load: Load) -> None:
    chats = uvloop.run(ask(upstream, "/openai/v1/chat/completions", load))
    assert len(chats) >= 3
    for chat in chats:
        assert chat.error is None
        assert 0 <= chat.added_s < chat.first_token_s <= chat.whole_s
        assert chat.receipt_s >= 0


def test_the_chats_of_a_burst_begin_together() -> None:
    load = replace(LOAD, burst_every_s=0.5, seconds=1)
    assert load.begins(random.Random(0)) == [0, 0, 0, 0.5, 0.5, 0.5]


def test_done_may_be_in_two_chunks() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    events = b'data: {"content":" 0"}\n\ndata: {"content":"1-2-3"}\n\ndata: [DO'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"%x\r\n%s\r\n5\r\nNE]\n\n\r\n0\r\n\r\n" % (len(events), events))
        writer.close()

    async def chats() -> list[Chat]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            return await ask(server.sockets[0].getsockname()[1], "/", replace(LOAD, tokens=1, once=True, clients=1))

    [chat] = uvloop.run(chats())
    assert chat.error is None
    assert chat.whole_s > 0


def test_a_refusal_is_an_error(upstream: int) -> None:
    chats = uvloop.run(ask(upstream, "/", replace(LOAD, tokens=-1, once=True)))
    assert chats == [Chat("status 404")] * LOAD.clients


@pytest.mark.long
@pytest.mark.parametrize("name", [DIRECT, NGINX, ALL_OFF, ALL_ON])
def test_every_server_relays_every_token(around: Stage, name: str) -> None:
    if name == NGINX and nginx() is None:
        do_without("nginx is not installed")
    check(around, name)


def check(around: Stage, name: str) -> None:
    with started(around, name) as [server]:
        run = measure(around, server, LOAD)
        assert around.problems == []
        assert len(run.good) == len(run.chats) > 0


def test_tensorzero_is_configured_to_relay_every_token(around: Stage, tmp_path: Path) -> None:
    gateway = tmp_path / "gateway"
    gateway.write_text(
        f'#!/bin/sh\nPYTHONPATH={PROJECT} exec {sys.executable} -m tests.support.stand_in_gateway "$@"\n'
    )
    gateway.chmod(0o755)
    check(replace(around, tensorzero=str(gateway)), TENSORZERO)


def test_tensorzero_is_left_out_without_its_program(around: Stage) -> None:
    with started(around, TENSORZERO, DIRECT) as servers:
        assert [server.name for server in servers] == [DIRECT]


def test_a_program_that_does_not_start_is_reported_with_its_output(around: Stage, tmp_path: Path) -> None:
    gateway = tmp_path / "gateway"
    gateway.write_text("#!/bin/sh\necho no such option; exit 3\n")
    gateway.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"(?s)gateway ended with exit code 3:.*no such option"):  # noqa: SIM117
        with started(replace(around, tensorzero=str(gateway)), TENSORZERO):
            pass


@pytest.mark.long
@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="needs the repository")
def test_another_revision_relays_every_token(shared: SharedResources) -> None:
    folder = shared.open_folder("base")
    with stage(folder, base="HEAD") as real:
        for name in (BASE_OFF, BASE_ON):
            check(real, name)
