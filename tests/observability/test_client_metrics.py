"""Who uses the service and who is refused, by the name of the API key."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.observability.harness import Harness
from tests.support.service import HELLO, PATH, Reply, Service, SimulatedGroq, service_before
from tests.support.waiting import wait_until

MODEL = "openai/gpt-oss-120b"
HEADERS = {name: {"authorization": f"Bearer key-of-{name}"} for name in ("alice", "bob", "carol")}
OF_ALICE = HELLO | {"model": MODEL}
TOO_LONG = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}] * 3}


@pytest.fixture(scope="module")
def keyed_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "API_KEYS": ",".join(f"{name}:key-of-{name}" for name in HEADERS),
        "QUOTA_REQUESTS_PER_MINUTE": "20",
        "MAX_ACTIVE_STREAMS": "1",
        "MAX_QUEUED_CHATS": "1",
        "MAX_MESSAGES": "2",
        "MAX_BODY_BYTES": "10000",
        "METRICS_PORT": "0",
    }
    with service_before(groq_process, tmp_path_factory.mktemp("keyed"), settings) as running:
        yield running


@pytest.fixture
def keyed(keyed_process: Service, groq: SimulatedGroq) -> Service:
    return keyed_process


def refused_line(service: Service, reply: Reply) -> dict[str, Any]:
    found = service.program.line(lambda line: reply.id in line and '"chat.refused"' in line, seconds=10)
    assert found, f"no line for {reply.id}"
    line: dict[str, Any] = json.loads(found)
    return line


def test_usage_is_counted_by_client(keyed: Service) -> None:
    def of_alice() -> list[float]:
        tokens = [keyed.metric("chat_client_tokens_total", client="alice", type=kind) for kind in ("input", "output")]
        return [*tokens, keyed.metric("chat_client_cost_usd_total", client="alice")]

    before = {name: keyed.metric("chat_client_requests_total", client=name) for name in HEADERS}
    used_before = of_alice()
    reply = keyed.chat(OF_ALICE, headers=HEADERS["alice"])
    row = keyed.row(reply.id)
    assert row["client"] == "alice"
    after = {name: keyed.metric("chat_client_requests_total", client=name) for name in HEADERS}
    assert {name: after[name] - before[name] for name in HEADERS} == {"alice": 1, "bob": 0, "carol": 0}
    used = [now - earlier for now, earlier in zip(of_alice(), used_before, strict=True)]
    assert used == pytest.approx([row["prompt_tokens"], row["completion_tokens"], float(row["cost_usd"])])
    assert keyed.metric("chat_quota_limit", kind="requests") == 20


@pytest.mark.parametrize(
    ("body", "status", "outcome", "model"),
    [
        ({"messages": "none"}, 400, "invalid_request", "other"),
        (TOO_LONG, 400, "invalid_request", MODEL),
        ({"messages": [{"role": "user", "content": "x" * 20_000}]}, 413, "invalid_request", "other"),
    ],
)
def test_refused_request_has_its_client_and_its_model(
    keyed: Service, body: Any, status: int, outcome: str, model: str
) -> None:
    labels = {"client": "carol", "outcome": outcome}
    counted = keyed.metric("chat_client_refusals_total", **labels)
    by_model = keyed.metric("chat_requests_total", model=model, outcome=outcome)
    reply = keyed.chat(body, headers=HEADERS["carol"])
    assert reply.status == status
    assert refused_line(keyed, reply)["client"] == "carol"
    assert keyed.metric("chat_client_refusals_total", **labels) == counted + 1
    assert keyed.metric("chat_requests_total", model=model, outcome=outcome) == by_model + 1


def test_request_over_its_quota_has_its_client(keyed: Service) -> None:
    replies = [keyed.chat({"messages": "none"}, headers=HEADERS["bob"]) for _ in range(21)]
    assert [reply.status for reply in replies] == [400] * 20 + [429]
    assert refused_line(keyed, replies[-1])["client"] == "bob"
    assert keyed.metric("chat_client_refusals_total", client="bob", outcome="rejected_quota") == 1
    assert keyed.metric("chat_client_requests_total", client="bob") == 21


def test_request_without_a_key_has_no_client(keyed: Service) -> None:
    requests = keyed.metric("chat_client_requests_total")
    reply = keyed.chat()
    assert reply.status == 401
    assert refused_line(keyed, reply)["client"] is None
    assert keyed.metric("chat_client_requests_total") == requests


def test_overloaded_worker_shows_its_capacity_and_whom_it_refuses(keyed: Service, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 8, "after_tokens": 3})
    assert keyed.metric("chat_active_streams_limit") == keyed.metric("chat_queue_limit") == 1
    assert keyed.metric("db_pool_size") == 3
    labels = {"model": MODEL, "outcome": "rejected_overload"}
    before = keyed.metric("chat_requests_total", **labels)
    with keyed.http.stream("POST", keyed.url + PATH, json=HELLO, headers=HEADERS["alice"]) as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        next(pieces)
        assert keyed.metric("chat_active_streams") == 1
        reply = keyed.chat(OF_ALICE, headers=HEADERS["carol"])
        assert reply.status == 503
    assert refused_line(keyed, reply)["client"] == "carol"
    assert keyed.metric("chat_requests_total", **labels) == before + 1
    assert keyed.metric("chat_client_refusals_total", client="carol", outcome="rejected_overload") == 1
    wait_until(lambda: keyed.metric("chat_active_streams") == 0, "the chat of alice does not end")


def test_service_without_keys_has_anonymous_clients(harness: Harness) -> None:
    harness.chat(client=None)
    harness.chat(client="not in API_KEYS")
    assert harness.value("chat_client_requests_total", client="anonymous") == 1
    assert harness.value("chat_client_requests_total", client="other") == 1
