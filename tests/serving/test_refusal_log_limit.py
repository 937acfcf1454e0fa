"""Refusals without a valid key are logged up to a rate; those with one are all logged."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw import exchange
from tests.support.service import PATH, Service, SimulatedGroq, service_before
from tests.support.waiting import wait_until

REQUESTS = 200
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
    "invalid HTTP": (lambda service: exchange(service.url, b"\x00\r\n\r\n"), "connection.refused"),
    "chat with a wrong key": (lambda service: post(service, "wrong"), "chat.refused"),
    "method not allowed": (lambda service: service.http.put(service.url + PATH), "chat.refused"),
    "models with a wrong key": (lambda service: service.http.get(f"{service.url}/v1/models"), "key.refused"),
}


@pytest.mark.parametrize(("refuse", "event"), CAUSES.values(), ids=CAUSES)
def test_log_lines_of_refusals_without_a_key_are_limited(
    groq: SimulatedGroq, tmp_path: Path, refuse: Callable[[Service], object], event: str
) -> None:
    with service_before(groq, tmp_path, {"API_KEYS": "me:mine", "LOG_REFUSALS_PER_S": str(PER_S)}) as service:
        began = time.monotonic()
        for _ in range(REQUESTS):
            refuse(service)
        seconds = time.monotonic() - began
        assert [post(service, "mine") for _ in range(3 * PER_S)] == [400] * (3 * PER_S)
        with_key = 3 * PER_S if event == "chat.refused" else 0

        def logged() -> int:
            return len(lines_of(service, event)) - with_key

        wait_until(lambda: logged() + suppressed(service, event) >= REQUESTS, "lines are missing")
        assert logged() + suppressed(service, event) == REQUESTS
        assert logged() <= PER_S * (seconds + 2)

        def with_key_logged() -> int:
            return len([line for line in lines_of(service, "chat.refused") if line["http_status"] == 400])

        wait_until(lambda: with_key_logged() == 3 * PER_S, "lines of requests with a key are missing")
