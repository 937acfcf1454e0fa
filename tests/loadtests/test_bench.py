"""The benchmark's ends agree with each other, and each server relays every token."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import uvloop

from loadtests.bench.clients import Chat, Load, ask
from loadtests.bench.measure import measure
from loadtests.bench.servers import ALL_OFF, ALL_ON, DIRECT, NGINX, nginx, started
from loadtests.bench.stage import Stage, stage
from tests.support.processes import program
from tests.support.shared import SharedResources

LOAD = Load(tokens=20, rate=1000, first_ms=5, clients=3, seconds=0.2)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with program(["loadtests.bench.upstream"], cwd=tmp_path_factory.mktemp("upstream")) as running:
        yield urlsplit(running.url()).port or 0


@pytest.fixture(scope="module")
def around(shared: SharedResources) -> Iterator[Stage]:
    with stage(shared.open_folder("bench")) as real:
        yield real


@pytest.mark.parametrize("load", [LOAD, replace(LOAD, arrivals_per_s=50), replace(LOAD, tokens=1, once=True)])
def test_clients_read_every_token(upstream: int, load: Load) -> None:
    chats = uvloop.run(ask(upstream, "/openai/v1/chat/completions", load))
    assert len(chats) >= 3
    for chat in chats:
        assert chat.error is None
        assert 0 <= chat.added_s < chat.first_token_s <= chat.whole_s
        assert chat.receipt_s >= 0


def test_a_refusal_is_an_error(upstream: int) -> None:
    chats = uvloop.run(ask(upstream, "/", replace(LOAD, tokens=-1, once=True)))
    assert chats == [Chat("status 404")] * LOAD.clients


@pytest.mark.long
@pytest.mark.parametrize("name", [DIRECT, NGINX, ALL_OFF, ALL_ON])
def test_every_server_relays_every_token(around: Stage, name: str) -> None:
    if name == NGINX and nginx() is None:
        pytest.skip("nginx is not installed")
    with started(around, name) as server:
        run = measure(around, server, LOAD)
        assert around.problems == []
        assert len(run.good) == len(run.chats) > 0
