"""Records without content."""

import dataclasses
from typing import Any

import pytest

from app.core.record import METADATA, NO_COLUMNS, NO_MESSAGES, ChatRecord, without_content
from app.db.models import ChatLog
from tests.support.records import record

MARK = "secret-text"


def test_without_content_only_facts_remain() -> None:
    full = record()
    bare = without_content(full)
    for name in {field.name for field in dataclasses.fields(full)} - NO_COLUMNS - {"params"}:
        absent = NO_MESSAGES if name == "messages" else None
        assert getattr(bare, name) == (getattr(full, name) if name in METADATA else absent), name
    assert (bare.route, bare.traceparent, bare.details) == (full.route, full.traceparent, full.details)


def test_the_message_of_a_refusal_is_content() -> None:
    attempts = [{"model": "m", "result": "ok"}, {"model": "m", "result": "upstream_rejected", "message": MARK}]
    bare = without_content(record(attempt_log=attempts))
    assert bare.attempt_log == [attempts[0], attempts[1] | {"message": None}]
    assert attempts[1]["message"] == MARK


def test_facts_are_columns_and_all_other_columns_are_nullable() -> None:
    columns = ChatLog.__table__.columns
    assert set(columns.keys()) >= METADATA
    assert all(column.nullable for column in columns if column.key not in METADATA | {"params"})


def test_unlisted_column_counts_as_content() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class WithColumn(ChatRecord):
        end_user: str | None = None

    row = WithColumn(**{field.name: getattr(record(), field.name) for field in dataclasses.fields(record())})
    bare = without_content(dataclasses.replace(row, end_user=MARK))
    assert isinstance(bare, WithColumn)
    assert bare.end_user is None


PLAIN: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 1,
    "max_tokens": 100,
    "max_completion_tokens": 200,
    "seed": 7,
    "n": 1,
    "presence_penalty": -1,
    "frequency_penalty": 0.0,
    "stream": False,
    "store": False,
    "parallel_tool_calls": True,
    "include_reasoning": True,
    "service_tier": "flex",
    "reasoning_effort": "low",
    "reasoning_format": "parsed",
    "stream_options": {"include_usage": True},
}


def test_plain_parameters_remain() -> None:
    assert without_content(record(params=PLAIN)).params == PLAIN


@pytest.mark.parametrize("name", [*PLAIN, "tools", "tool_choice", "response_format", "stop", "user", "metadata", "new"])
@pytest.mark.parametrize("value", [MARK, [MARK], {MARK: 1}, {"include_usage": MARK}, {"include_usage": True, MARK: 1}])
def test_text_is_removed_from_every_parameter(name: str, value: Any) -> None:
    assert MARK not in str(without_content(record(params={name: value})).params)


def test_unknown_parameter_is_removed() -> None:
    assert without_content(record(params={"new": 1, "temperature": None})).params == {}
