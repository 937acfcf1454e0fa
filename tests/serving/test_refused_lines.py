"""Who has no valid key cannot fill the log; of who has one, every refusal has its line."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.processes import program
from tests.support.raw import exchange
from tests.support.service import PATH, Service, SimulatedGroq

ASKED = 200
PER_S = 2


def lines_of(service: Service, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.program.lines if f'"event":"{event}"' in line]
    assert all(line["event"] == event for line in lines)
    return lines


def suppressed(service: Service, event: str) -> int:
    lines = lines_of(service, "log.lines_suppressed")
    return sum(line["count"] for line in lines if line["suppressed_event"] == event)


def post(service: Service, key: str, content: bytes = b"{}") -> int:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    return service.http.post(service.url + PATH, content=content, headers=headers).status_code


CAUSES: dict[str, tuple[Callable[[Service], object], str]] = {
    "no HTTP": (lambda service: exchange(service.url, b"\x00\r\n\r\n"), "connection.refused"),
    "a chat with a wrong key": (lambda service: post(service, "wrong"), "chat.refused"),
    "a method that is not allowed": (lambda service: service.http.put(service.url + PATH), "chat.refused"),
    "models with a wrong key": (lambda service: service.http.get(f"{service.url}/v1/models"), "key.refused"),
}


@pytest.mark.parametrize(("cause", "event"), CAUSES.values(), ids=CAUSES)
def test_lines_that_anybody_can_cause_are_limited(
    groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path, cause: Callable[[Service], object], event: str
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/chats.db"
    env = {"DATABASE_URL": url, "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url, "PORT": "0"}
    limits = {"API_KEYS": "me:mine", "LOG_REFUSALS_PER_S": str(PER_S)}
    with program(["app"], cwd=tmp_path, env=env | limits) as running:
        service = Service(running.url(), running, url, http)
        began = time.monotonic()
        for _ in range(ASKED):
            cause(service)
        seconds = time.monotonic() - began
        assert [post(service, "mine") for _ in range(3 * PER_S)] == [400] * (3 * PER_S)  # these have a key
        deadline = time.monotonic() + 30
        mine = 3 * PER_S if event == "chat.refused" else 0
        while len(lines_of(service, event)) - mine + suppressed(service, event) < ASKED:
            assert time.monotonic() < deadline, "lines are missing"
            time.sleep(0.05)
        assert len(lines_of(service, event)) - mine + suppressed(service, event) == ASKED
        assert len(lines_of(service, event)) - mine <= PER_S * (seconds + 2)
        assert len([line for line in lines_of(service, "chat.refused") if line["http_status"] == 400]) == 3 * PER_S
