"""nginx with deploy/nginx/site.conf passes tokens, errors and disconnects without delay."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.core.config import Settings
from tests.deploy.nginx import Nginx, nginx
from tests.support.database import query
from tests.support.otlp import Collector, collecting
from tests.support.ports import free_port
from tests.support.processes import program
from tests.support.raw import BODY, CHAT, connect, exchange, receive_until, sized
from tests.support.service import HELLO, PATH, Service, SimulatedGroq
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("nginx")

LIMIT = Settings.model_fields["max_body_bytes"].default
ENDLESS_S = 3600
COMMENT = b": waiting"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def behind(
    groq_process: SimulatedGroq, http: httpx2.Client, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service without nginx; it trusts nginx's headers and has short timeouts."""
    folder = tmp_path_factory.mktemp("behind")
    url = f"sqlite+aiosqlite:///{folder}/chats.db"
    env = {"DATABASE_URL": url, "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq_process.url, "PORT": "0"}
    env |= {"FORWARDED_ALLOW_IPS": "127.0.0.1", "STREAM_KEEPALIVE_S": "2", "CLIENT_WRITE_TIMEOUT_S": "2"}
    env |= collector.env
    with program(["app"], cwd=folder, env=env) as running:
        yield Service(running.url(), running, url, http)


@pytest.fixture(scope="module")
def proxy(behind: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx(tmp_path_factory.mktemp("edge") / "nginx", behind.url) as running:
        yield running


@pytest.fixture
def service(behind: Service, proxy: Nginx, groq: SimulatedGroq) -> Service:
    """The service through nginx, with a simulated Groq without faults."""
    return dataclasses.replace(behind, url=proxy.url)


def test_tokens_and_disconnects_pass_immediately(service: Service, groq: SimulatedGroq) -> None:
    """Groq sends one token and pauses: a buffering proxy would deliver it with the keep-alive comment."""
    groq.fail({"silence_s": ENDLESS_S, "after_tokens": 1})
    left = groq.seen()["left"]
    with connect(service.url) as client:
        client.sendall(CHAT + sized())
        received = receive_until(client, b'"delta":{"reasoning":"')
        assert COMMENT not in received
        receive_until(client, COMMENT)
        [chat_id] = re.findall(r"x-request-id: (\S+)", received.decode(), re.IGNORECASE)
    assert service.row_in_time(chat_id)["outcome"] == "client_disconnected"
    groq.wait_until_left(left + 1)


def test_stalled_client_is_detected(service: Service, groq: SimulatedGroq) -> None:
    """The answer, 15 MB, exceeds the kernel's buffers; with buffering, nginx would write it to a file."""
    groq.fail({"words": 60_000, "tokens_per_s": 1_000_000})
    with connect(service.url) as client:
        client.sendall(CHAT + sized())
        received = receive_until(client, b"data:")
        [chat_id] = re.findall(r"x-request-id: (\S+)", received.decode(), re.IGNORECASE)
        assert service.row_in_time(chat_id, seconds=30)["outcome"] == "client_stalled"


def test_request_id_and_trace_of_the_client_are_stored(service: Service) -> None:
    reply = service.chat(headers={"x-request-id": "mine", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    row = service.row(reply.id)
    assert (row["outcome"], row["client_request_id"], row["trace_id"]) == ("completed", "mine", TRACE)
    assert TRACE in reply.headers["traceresponse"]


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        ({"status": 429, "retry_after_s": 600}, 429, "600"),
        ({"status": 400}, 400, None),
        ({"status": 503, "retry_after_s": 60}, 503, "60"),
        ({"status": 401}, 502, None),
    ],
)
def test_error_before_the_first_byte_is_passed_unchanged(
    service: Service, groq: SimulatedGroq, fault: dict[str, Any], status: int, retry_after: str | None
) -> None:
    groq.fail(fault)
    reply = service.chat()
    assert (reply.status, reply.headers.get("retry-after")) == (status, retry_after)
    assert reply.error["message"] != "the service does not answer; try again"
    assert service.row(reply.id)["http_status"] == status


def test_disconnect_before_the_first_byte_is_detected(service: Service, groq: SimulatedGroq) -> None:
    groq.fail({"first_byte_delay_s": ENDLESS_S})
    requests = groq.seen()["requests"]
    with connect(service.url) as client:
        client.sendall(CHAT + sized(BODY.replace(b"Hello", b"I disconnect early")))
        wait_until(lambda: groq.seen()["requests"] > requests, "Groq received no request")
    sql = "SELECT * FROM chat_logs WHERE prompt = 'I disconnect early'"
    rows = wait_until(lambda: query(service.database_url, sql), "there is no row")
    assert (rows[0]["outcome"], rows[0]["http_status"]) == ("client_disconnected", 499)


def body_of(size: int) -> bytes:
    """A chat request of `size` bytes."""
    empty = json.dumps({"messages": [{"role": "user", "content": ""}]})
    return json.dumps({"messages": [{"role": "user", "content": "x" * (size - len(empty))}]}).encode()


def test_too_large_body_has_the_error_of_the_service(service: Service, behind: Service) -> None:
    reply = service.chat(content=body_of(LIMIT + 1))
    assert (reply.status, reply.error) == (413, behind.chat(content=body_of(LIMIT + 1)).error)
    assert reply.error["code"] == "body_too_large"


def test_too_large_chunked_body_has_the_same_error(service: Service, proxy: Nginx) -> None:
    chunk = b"%x\r\n%s\r\n" % (LIMIT // 4, b" " * (LIMIT // 4))
    received = exchange(service.url, CHAT + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n", *[chunk] * 5)
    assert (received.statuses, received.error["code"]) == ([413], "body_too_large")
    assert "temporary file" not in proxy.errors


def test_largest_body_passes_without_a_temporary_file(service: Service, proxy: Nginx) -> None:
    reply = service.chat(content=body_of(LIMIT))
    assert service.row(reply.id)["http_status"] == reply.status != 413
    assert "temporary file" not in proxy.errors


def test_unavailable_service_is_an_error_in_openais_format(tmp_path: Path, http: httpx2.Client) -> None:
    with nginx(tmp_path / "alone", f"http://127.0.0.1:{free_port()}") as alone:
        response = http.post(alone.url + PATH, json=HELLO)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"].keys() == {"message", "type", "code", "param"}


def test_connections_to_the_service_are_reused(service: Service, behind: Service, proxy: Nginx) -> None:
    assert service.chat().done
    before = proxy.connections(behind.url)
    assert before
    assert all(service.chat().done for _ in range(3))
    assert proxy.connections(behind.url) == before


def test_forwarding_headers_of_clients_cause_no_redirect(service: Service) -> None:
    """A path with a trailing slash is answered without a redirect, so no header becomes a Location."""
    claims = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.9", "x-forwarded-host": "evil.example"}
    for headers in ({}, claims):
        response = service.http.get(f"{service.url}{PATH}/", headers=headers)
        assert response.status_code == 405
        assert "location" not in response.headers
        assert "evil" not in response.text


def test_forwarding_headers_of_clients_are_replaced(service: Service, collector: Collector) -> None:
    """The span has the address and scheme that nginx saw."""
    claims = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.9", "x-forwarded-host": "evil.example"}
    trace_id = service.chat(headers=claims).headers["traceresponse"].split("-")[1]
    [span] = collector.wait_for(lambda span: span.trace_id == trace_id and span.name == f"POST {PATH}")
    assert (span.attributes["client.address"], span.attributes["url.scheme"]) == ("127.0.0.1", "http")
    assert "evil.example" not in str(span)


@pytest.mark.parametrize("path", ["/readyz", "/healthz", "/metrics", "/", "/page/page.js", "/docs", "/openapi.json"])
def test_internal_paths_are_not_public(service: Service, behind: Service, path: str) -> None:
    """They expose the state of the service, or are expensive."""
    response = service.http.get(service.url + path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "invalid_request")
    assert service.http.get(f"{service.url}/v1/models").status_code == 200
    assert service.http.get(behind.url + path).status_code == (404 if path == "/metrics" else 200)


def test_page_is_public_with_the_commented_location(behind: Service, tmp_path: Path, http: httpx2.Client) -> None:
    with nginx(tmp_path / "edge", behind.url, with_page=True) as edge:
        for path in ("/", "/page/page.js", "/page/about", "/docs", "/openapi.json", "/v1/models"):
            assert http.get(edge.url + path).status_code == 200
        assert http.get(f"{edge.url}/readyz").status_code == 404


def test_access_log_has_the_ids_of_row_and_trace_but_no_content(service: Service, proxy: Nginx) -> None:
    reply = service.chat({"messages": [{"role": "user", "content": "A secret question"}]})
    line = proxy.logged(reply.id)
    fields = json.loads(line)
    assert (fields["status"], fields["path"], fields["trace"]) == (200, PATH, reply.headers["traceresponse"])
    assert "secret" not in line
