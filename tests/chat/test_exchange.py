"""What is kept of a chat."""

from typing import Any
from uuid import uuid4

import pytest

from app.chat.block import Block, Usage
from app.chat.caller import Caller
from app.chat.exchange import Exchange
from app.chat.pricing import cost_usd
from app.core.errors import UpstreamBroken, UpstreamRejected
from app.core.outcomes import Outcome
from app.core.setting_types import ModelPrice
from tests.support.bodies import as_objects, parsed

BODY: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "this?"}]},
        {"role": "assistant", "content": "A test."},
    ],
    "temperature": 1,
    "mystery": {"deep": [1, 2.5, None]},
}


def exchange(body: dict[str, Any] | None = None) -> Exchange:
    return Exchange(
        parsed(body or BODY),
        Caller(uuid4(), arrived=100.0),
        requested_model="asked",
        model="asked",
        row_bytes=1000,
        asked=100.0,
        now=100.0,
    )


def test_groq_is_asked_what_the_client_asked_and_no_more() -> None:
    assert as_objects(exchange().payload) == {**BODY, "model": "asked", "stream": True}


def test_the_record_tells_times_from_the_first_token_on() -> None:
    chat = exchange()
    chat.add(Block(data=b"opening"), 100.1)
    chat.add(Block(data=b"x", text=["x"], deltas=1, model="answered"), 100.25)
    chat.add(
        Block(data=b"y", text=["y"], deltas=1, finish_reason="stop", finished={0}, usage=Usage(5, 2), ended=True), 100.5
    )
    chat.complete(101.0)
    record = chat.record({"answered": ModelPrice(input=1, output=2)}.get)
    assert (record.ttft_ms, record.duration_ms) == (250.0, 1000.0)
    assert (record.requested_model, record.model_name) == ("asked", "answered")
    assert record.cost_usd == pytest.approx(9e-6)
    assert record.prompt == "What is\nthis?"
    assert as_objects(record.params) == {"temperature": 1, "mystery": {"deep": [1, 2.5, None]}}
    assert as_objects(record.messages) == BODY["messages"]


def test_an_end_without_a_finish_reason_cannot_complete() -> None:
    chat = exchange()
    chat.add(Block(data=b"x", ended=True), 100.1)
    with pytest.raises(UpstreamBroken):
        chat.complete(100.2)


def test_a_failure_before_the_first_byte_has_its_status() -> None:
    chat = exchange()
    chat.fail(UpstreamRejected("no", status=404), 100.1)
    record = chat.record(lambda _: None)
    assert (record.outcome, record.http_status, record.duration_ms) == (Outcome.UPSTREAM_REJECTED, 404, 100.0)


def test_a_client_that_left_before_the_first_byte_saw_no_status_of_ours() -> None:
    chat = exchange()
    chat.leave(100.1)
    assert chat.record(lambda _: None).http_status == 499


def test_cached_input_has_its_own_price() -> None:
    price = ModelPrice(input=1, output=10, cached_input=0.5)
    assert cost_usd(Usage(1000, 100, cached_tokens=400), price) == pytest.approx((600 + 200 + 1000) / 1e6)
    assert cost_usd(Usage(1000, 100, cached_tokens=400), ModelPrice(input=1, output=10)) == pytest.approx(2000 / 1e6)
    assert cost_usd(Usage(1, 1), None) is None
