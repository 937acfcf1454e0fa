"""The trace of a chat by how it ended: only failures of Groq and of the service are errors."""

import json
import time
from typing import Any
from uuid import uuid4

import pytest

from tests.observability.chat_trace import spans_of
from tests.observability.conftest import Observed
from tests.support.raw import CHAT, connect, sized
from tests.support.service import HELLO, PATH, SimulatedGroq


@pytest.mark.parametrize(
    ("fault", "outcome", "failed", "event"),
    [
        ({"after_tokens": 5, "ending": "truncate"}, "upstream_error", True, "first_token"),
        ({"after_tokens": 5, "ending": "garbage"}, "upstream_error", True, "first_token"),
        ({"after_tokens": 5, "silence_s": 30}, "upstream_timeout", True, "first_token"),
        ({"after_tokens": 5, "silence_s": 1.3}, "completed", False, "stall"),
        ({"status": 400}, "upstream_rejected", False, "committed"),
        ({"status": 500}, "upstream_error", True, "retry"),
        ({"status": 429, "retry_after_s": 600}, "upstream_rate_limited", True, "committed"),
    ],
)
def test_every_outcome_is_one_trace_and_only_failures_are_errors(
    observed: Observed, groq: SimulatedGroq, fault: dict[str, Any], outcome: str, *, failed: bool, event: str
) -> None:
    groq.fail(fault)
    reply = observed.chat()
    spans = spans_of(observed, reply.id)
    assert (len(spans["POST"]), len(spans["chat"])) == (1, 1)
    (chat,), (server,) = spans["chat"], spans["POST"]
    assert (chat.attributes["chat.outcome"], chat.failed) == (outcome, failed)
    assert event in chat.events
    assert ("error.type" in chat.attributes) == (outcome != "completed")
    assert (server.failed, "error.type" in server.attributes) == (failed, failed)  # also within a 200


def test_client_disconnect_is_no_error(observed: Observed, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 20})
    with observed.http.stream("POST", observed.url + PATH, json=HELLO) as response:
        pieces = response.iter_raw()
        next(pieces)
        chat_id = response.headers["x-request-id"]
    spans = spans_of(observed, chat_id)
    (chat,), (server,) = spans["chat"], spans["POST"]
    assert chat.attributes["chat.outcome"] == "client_disconnected"
    assert "client_disconnected" in chat.events
    assert not chat.failed
    assert not server.failed


def test_disconnect_or_stall_during_a_blocked_send_is_traced(observed: Observed, groq: SimulatedGroq) -> None:
    """The client stops reading until the buffers are full; then one disconnects, and the other stays connected."""
    groq.fail({"tokens_per_s": 20_000, "words": 30_000})
    outcomes = {}
    for stays in (True, False):
        mine = str(uuid4())
        with connect(observed.url, receive_buffer=4096) as client:
            client.sendall(CHAT + f"x-request-id: {mine}\r\n".encode() + sized())
            client.recv(1000)
            if stays:
                assert observed.program.wait_for(mine)
            else:
                time.sleep(0.5)  # until the buffers are full
        found = observed.program.line(lambda line: mine in line)  # noqa: B023 - called at once
        assert found
        spans = spans_of(observed, json.loads(found)["request_id"])
        (chat,) = spans["chat"]
        outcomes[stays] = (chat.attributes["chat.outcome"], chat.failed, len(spans["POST"]))
    assert outcomes == {True: ("client_stalled", False, 1), False: ("client_disconnected", False, 1)}


def test_no_outcome_detaches_a_foreign_context(observed: Observed) -> None:
    """A span that is attached across a `yield` is found in another context when the client has left."""
    assert observed.chat().done
    assert "Failed to detach context" not in observed.program.output
    assert "Traceback" not in observed.program.output
