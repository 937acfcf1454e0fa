"""The state of a chat, and the record made of it."""

from typing import Any
from uuid import uuid4

import pytest

from app.core.models import ModelPrice
from app.core.outcomes import Outcome
from app.core.upstream import UpstreamBroken, UpstreamRejected
from app.services.chat.block import Block
from app.services.chat.chat_record import chat_record
from app.services.chat.ports import RequestContext
from app.services.chat.session import ChatSession
from app.services.chat.timing import ChatTiming
from app.services.chat.usage import Usage
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


def session(body: dict[str, Any] | None = None) -> ChatSession:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    context = RequestContext(uuid4(), arrived=100.0)
    return ChatSession(parsed(body or BODY), context, models=("asked", "asked"), timing=timing)


def test_the_payload_is_what_the_client_sent() -> None:
    assert as_objects(session().payload) == {**BODY, "model": "asked", "stream": True}


def test_the_record_has_times_model_and_cost() -> None:
    chat = session()
    chat.add_block(Block(data=b"opening"), 100.1)
    chat.add_block(Block(data=b"x", text=["x"], progress_chunks=1, model="answered"), 100.25)
    chat.add_block(
        Block(
            data=b"y",
            text=["y"],
            progress_chunks=1,
            finish_reason="stop",
            finished_choices={0},
            usage=Usage(5, 2),
            ended=True,
        ),
        100.5,
    )
    chat.complete(101.0)
    record = chat_record(chat, {"answered": ModelPrice(input=1, output=2)}.get)
    assert (record.ttft_ms, record.duration_ms) == (250.0, 1000.0)
    assert (record.requested_model, record.model_name) == ("asked", "answered")
    assert record.cost_usd == pytest.approx(9e-6)
    assert record.prompt == "What is\nthis?"
    assert as_objects(record.params) == {"temperature": 1, "mystery": {"deep": [1, 2.5, None]}}
    assert as_objects(record.messages) == BODY["messages"]


def test_a_chat_without_finish_reason_cannot_complete() -> None:
    chat = session()
    chat.add_block(Block(data=b"x", ended=True), 100.1)
    with pytest.raises(UpstreamBroken):
        chat.complete(100.2)


def test_a_failure_before_the_first_block_has_its_status() -> None:
    chat = session()
    chat.fail(UpstreamRejected("no", status=404), 100.1)
    record = chat_record(chat, lambda _: None)
    assert (record.outcome, record.http_status, record.duration_ms) == (Outcome.UPSTREAM_REJECTED, 404, 100.0)


def test_a_disconnect_before_the_first_block_is_a_499() -> None:
    chat = session()
    chat.disconnect(100.1)
    assert chat_record(chat, lambda _: None).http_status == 499
