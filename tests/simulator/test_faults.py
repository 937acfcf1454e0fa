"""Failures by script, the same ones each time."""

from typing import Any

import httpx2
import pytest

from app.simulator.faults import Fault, FaultPlan, FaultScript
from tests.simulator.test_wire import AUTH, HI, post
from tests.support.service import SimulatedGroq


def test_a_fault_strikes_as_often_as_it_is_told_to(groq: SimulatedGroq) -> None:
    groq.fail({"status": 503, "times": 2})
    assert [post(groq).status_code for _ in range(3)] == [503, 503, 200]
    assert groq.http.get(f"{groq.root}/faults").json()["applied"] == [2]


def test_chances_repeat_with_their_seed() -> None:
    def applied(seed: int) -> list[bool]:
        plan = FaultPlan(FaultScript(seed=seed, faults=[Fault(status=500, probability=0.3)]))
        return [plan.next("m").status == 500 for _ in range(200)]

    assert applied(1) == applied(1)
    assert applied(1) != applied(2)
    assert 30 < sum(applied(1)) < 90


def test_a_fault_may_concern_one_model_alone() -> None:
    plan = FaultPlan(FaultScript(faults=[Fault(status=500, model="a")]))
    assert plan.next("b") == Fault()
    assert plan.next("a").status == 500


SCRIPTS = [
    b'{"faults": [{"status": 200}]}',
    b'{"faults": [{"stauts": 500}]}',
    b'{"faults": [{"silence_s": 1e99}]}',
    b'{"faults": [{"retry_after": "1\\r\\nset-cookie: a"}]}',
    b'{"faults": [{"rate_limit_headers": {"set-cookie": "a"}}]}',
    b'{"faults": [{"endpoint": "audio"}]}',
    b'{"fault": []}',
    b"[]",
    b"{",
    b"\xff",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_cannot_be_meant_is_refused(groq: SimulatedGroq, script: bytes) -> None:
    response = groq.http.put(f"{groq.root}/faults", content=script)
    assert response.status_code == 422
    assert response.json()["error"]


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422, 429, 498, 500, 502, 503])
def test_an_error_has_the_body_that_groq_sends_with_it(groq: SimulatedGroq, status: int) -> None:
    groq.fail({"status": status})
    response = post(groq)
    assert response.status_code == status
    assert {"message", "type"} <= set(response.json()["error"])
    assert ("retry-after" in response.headers) == (status == 429)


def test_an_error_in_band_ends_the_stream_without_finish_usage_or_done(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "error_event", "after_tokens": 3})
    *_, last, rest = post(groq, stream=True).text.split("\n\n")
    assert rest == ""
    assert last.startswith('event: error\ndata: {"error":{"message":')
    assert '"code":"tool_use_failed"' in last
    assert '"status_code":400' in last


@pytest.mark.parametrize(
    ("ending", "marks"), [("eof", (False, False)), ("no_done", (True, False)), (None, (True, True))]
)
def test_an_ending_may_leave_things_out(groq: SimulatedGroq, ending: str | None, marks: tuple[bool, bool]) -> None:
    groq.fail({"ending": ending, "after_tokens": 3})
    text = post(groq, stream=True).text
    assert ('"finish_reason":"stop"' in text, text.endswith("data: [DONE]\n\n")) == marks


def test_a_truncated_stream_breaks_the_connection_within_an_event(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "truncate", "after_tokens": 3})
    with pytest.raises(httpx2.RemoteProtocolError):
        post(groq, stream=True)


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        ({"silence_s": 20, "after_tokens": 2}, True),
        ({"silence_s": 20, "after_tokens": 2}, False),
        ({"first_byte_delay_s": 20}, True),
        ({"first_byte_delay_s": 20}, False),
        ({"first_token_delay_s": 20}, False),
        ({"first_byte_delay_s": 20, "status": 503}, False),
    ],
)
def test_a_client_that_leaves_is_counted_whatever_it_waits_for(
    groq: SimulatedGroq, fault: dict[str, Any], *, stream: bool
) -> None:
    groq.fail(fault)
    before = groq.seen()
    with pytest.raises(httpx2.ReadTimeout):
        groq.http.post(f"{groq.url}/chat/completions", json=HI | {"stream": stream}, headers=AUTH, timeout=0.3)
    groq.wait_until_left(before["left"] + 1)
    assert groq.seen()["requests"] == before["requests"] + 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_reads_to_the_end_has_not_left(groq: SimulatedGroq, *, stream: bool) -> None:
    before = groq.seen()["left"]
    assert post(groq, stream=stream).status_code == 200
    assert groq.seen()["left"] == before
