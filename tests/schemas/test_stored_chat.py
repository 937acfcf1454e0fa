"""Rows as OpenAI's objects."""

from typing import Any

from app.schemas.stored_chat import completion_object, message_objects
from tests.support.records import record


def row(**changes: Any) -> dict[str, Any]:
    chat = record(**changes)
    return {name: getattr(chat, name) for name in chat.__slots__} | {"has_content": True}


def test_cause_of_a_failed_connection_is_not_shown_to_clients() -> None:
    failed = {"model": "m", "started_ms": 0.5, "ended_ms": 9.5, "result": "upstream_unreachable", "status": None}
    shown = completion_object(row(attempt_log=[failed | {"cause": "dns_failure"}]))
    assert shown["x_chat"]["attempt_log"] == [failed]
    assert "dns_failure" not in str(shown)


def test_chat_that_failed_has_its_own_id_and_no_usage() -> None:
    failed = row(upstream_response_id=None, attempt_log=None, prompt_tokens=None, response=None, finish_reason=None)
    shown = completion_object(failed)
    assert (shown["id"], shown["usage"], shown["x_chat"]["attempt_log"]) == (str(failed["id"]), None, [])
    assert (shown["choices"][0]["finish_reason"], shown["choices"][0]["message"]["content"]) == (None, None)


def test_messages_keep_what_they_have() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]}
    shown = list(message_objects(row(messages=[call, {"role": "user", "content": "Hi"}])))
    assert [message["content_parts"] for message in shown] == [None, None]
    assert shown[0]["tool_calls"] == [{"id": "call_1"}]
    assert len({message["id"] for message in shown}) == 2
