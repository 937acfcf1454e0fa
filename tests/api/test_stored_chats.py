"""Stored chats, through OpenAI's client for Python and over HTTP."""

import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from openai import APIStatusError, BadRequestError, ConflictError, NotFoundError, OpenAI
from uuid_utils.compat import uuid7

from tests.support.openai_client import HEADERS, HI, KEY, MODEL, OTHER_KEY, REASONING, TOOLS, openai_client
from tests.support.service import DROP_IN, HELLO, Service, SimulatedGroq

PARTS: Any = [{"role": "system", "content": "Short."}, {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


def x_chat(completion: Any) -> dict[str, Any]:
    found: dict[str, Any] = completion.x_chat
    return found


def test_chat_is_retrieved_by_both_ids(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=REASONING, messages=HI, safety_identifier="somebody", seed=7)
    for name in (answer.id, str(answer._request_id)):
        stored = openai.chat.completions.retrieve(name)
        assert (stored.id, stored.model, stored.object) == (answer.id, answer.model, "chat.completion")
        assert stored.choices[0].message.to_dict().items() >= answer.choices[0].message.to_dict().items()
        assert stored.choices[0].finish_reason == "stop"
        assert stored.usage
        assert answer.usage
        assert stored.usage.total_tokens == answer.usage.total_tokens
        facts = x_chat(stored)
        assert (facts["id"], facts["state"], facts["outcome"]) == (answer._request_id, "stored", "completed")
        assert (facts["client"], facts["end_user"], facts["attempts"]) == ("me", "somebody", 1)
        assert facts["attempt_log"][0]["result"] == "ok"
        assert facts["cost_usd"] > 0
        assert facts["duration_ms"] > 0
        assert len(facts["trace_id"]) == 32
        assert facts["params"]["seed"] == 7
        assert facts["prompt"] == "Hello"
        assert facts["content_stored"] is True


def test_chat_is_retrieved_by_an_answer_s_id_that_is_a_uuid(openai: OpenAI, groq: SimulatedGroq) -> None:
    name = str(uuid4())
    groq.fail({"patch": {"id": name}})
    answer = openai.chat.completions.create(model=REASONING, messages=HI)
    assert answer.id == name
    assert x_chat(openai.chat.completions.retrieve(name))["id"] == answer._request_id


def test_streamed_chat_is_retrieved_with_its_tool_calls(openai: OpenAI) -> None:
    chunks = list(openai.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS, stream=True))
    stored = openai.chat.completions.retrieve(chunks[0].id)
    assert stored.id == chunks[0].id
    calls: Any = stored.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "news"]
    assert x_chat(stored)["ttft_ms"] > 0


def test_list_is_read_page_by_page_in_both_orders(openai: OpenAI) -> None:
    mine: Any = {"extra_query": {"end_user": f"pages-{uuid4()}"}}
    ids = [
        openai.chat.completions.create(model=MODEL, messages=HI, user=mine["extra_query"]["end_user"]).id
        for _ in range(5)
    ]
    completions = openai.chat.completions
    assert [each.id for each in completions.list(limit=2, **mine)] == ids
    assert [each.id for each in completions.list(limit=2, order="desc", **mine)] == ids[::-1]
    page = completions.list(limit=2, **mine)
    assert (len(page.data), page.has_more) == (2, True)
    assert page.to_dict()["first_id"] == ids[0]
    assert page.to_dict()["last_id"] == ids[1]
    by_request_id = completions.list(after=x_chat(page.data[1])["id"], **mine)
    assert [each.id for each in by_request_id] == ids[2:]
    assert completions.list(after=ids[-1], **mine).data == []


def test_callers_see_only_their_own_chats(compat: Service, openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=MODEL, messages=HI, user="somebody")
    assert openai.chat.completions.retrieve(answer.id).id == answer.id
    with openai_client(compat, key=OTHER_KEY) as other:
        for name in (answer.id, str(answer._request_id)):
            with pytest.raises(APIStatusError) as caught:
                other.chat.completions.retrieve(name)
            # An id that is as young as this one may belong to a chat that is still running, of any client.
            assert caught.value.status_code in (404, 409)
        assert answer.id not in {each.id for each in other.chat.completions.list(limit=100, order="desc")}
        assert list(other.chat.completions.list(extra_query={"end_user": "somebody"})) == []
        with pytest.raises(BadRequestError, match="you have no stored chat with this id"):
            other.chat.completions.list(after=answer.id)
        theirs = other.chat.completions.create(model=MODEL, messages=HI)
        assert [each.id for each in other.chat.completions.list(order="desc", limit=1).data] == [theirs.id]
    for path in ("", f"/{answer.id}", f"/{answer.id}/messages"):
        assert compat.http.get(compat.url + DROP_IN + path).status_code == 401


def test_list_is_filtered(compat: Service, openai: OpenAI, groq: SimulatedGroq) -> None:
    began = time.time()
    good = openai.chat.completions.create(model=REASONING, messages=HI)
    groq.fail({"ending": "eof", "after_tokens": 3})
    failed = compat.chat({**HELLO, "model": MODEL}, headers=HEADERS)

    def ids(**query: Any) -> list[str]:
        listed = openai.chat.completions.list(limit=100, extra_query={"created_after": began, **query})
        return [x_chat(each)["id"] for each in listed]

    assert ids() == [good._request_id, failed.id]
    assert ids(model=MODEL) == [failed.id]
    assert ids(outcome="completed") == [good._request_id]
    assert ids(outcome="upstream_error") == [failed.id]
    assert ids(error_code="upstream_broken") == [failed.id]
    assert ids(error_code="no-such-code") == []
    assert ids(created_before="2026-01-01T00:00:00Z") == []


def test_messages_are_listed(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=MODEL, messages=PARTS)
    messages = openai.chat.completions.messages
    first, second = messages.list(answer.id, limit=1)
    assert (first.role, first.content, first.content_parts) == ("system", "Short.", None)
    assert (second.role, second.content) == ("user", None)
    assert second.to_dict()["content_parts"] == PARTS[1]["content"]
    assert [each.id for each in messages.list(answer.id, order="desc")] == [second.id, first.id]
    with pytest.raises(BadRequestError, match="no message with this id"):
        messages.list(answer.id, after="nothing")


def test_chat_without_content_has_no_text(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=REASONING, messages=HI, store=False, user="somebody")
    stored = openai.chat.completions.retrieve(answer.id)
    assert "Hello" not in stored.to_json()
    assert "somebody" not in stored.to_json()
    assert stored.choices[0].message.to_dict() == {"role": "assistant", "content": None, "refusal": None}
    assert (x_chat(stored)["content_stored"], x_chat(stored)["outcome"]) == (False, "completed")
    assert stored.usage
    assert list(openai.chat.completions.messages.list(answer.id)) == []


def test_id_that_is_too_young_to_be_missing_is_a_conflict_and_then_not_found(openai: OpenAI) -> None:
    with pytest.raises(ConflictError) as running:
        openai.chat.completions.retrieve(str(uuid7()))
    assert running.value.code == "chat_running"
    assert running.value.response.headers["retry-after"] == "2"
    an_hour_ago, in_an_hour = (UUID(int=uuid7().int + sign * (3_600_000 << 80)) for sign in (-1, 1))
    for name in (str(an_hour_ago), str(in_an_hour), str(uuid4()), "chatcmpl-none"):
        with pytest.raises(NotFoundError) as missing:
            openai.chat.completions.retrieve(name)
        assert missing.value.code == "chat_not_found"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"order": "random"}, "order"),
        ({"outcome": "fine"}, "outcome"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "2026-11-22T10:00:00"}, "created_before"),
        ({"after": "chatcmpl-none"}, "after"),
        ({"metadata[topic]": "demo"}, "metadata"),
    ],
)
def test_invalid_query_is_refused_with_its_field(compat: Service, query: dict[str, Any], param: str) -> None:
    response = compat.http.get(compat.url + DROP_IN, params=query, headers=HEADERS)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, "invalid_request"), error
    assert error["message"].startswith(f"{param}: ")


def test_chats_without_a_key_are_listed_on_both_databases(service: Service) -> None:
    reply = service.chat()
    listed = service.http.get(f"{service.url}{DROP_IN}?order=desc&limit=1").json()
    (found,) = listed["data"]
    assert (found["x_chat"]["id"], found["choices"][0]["message"]["content"]) == (reply.id, reply.text)
    assert found["id"] == reply.chunks[0]["id"]
    retrieved = service.http.get(f"{service.url}{DROP_IN}/{reply.id}").json()
    assert retrieved["x_chat"]["params"] == {}
    messages = service.http.get(f"{service.url}{DROP_IN}/{reply.id}/messages").json()["data"]
    assert [message["content"] for message in messages] == ["Hello"]
    for text in ("%00", "%ff", "%F0%9F%9A%80", "'; DROP TABLE chat_logs; --"):
        odd = service.http.get(f"{service.url}{DROP_IN}?model={text}&end_user={text}")
        assert (odd.status_code, odd.json()["data"]) == (200, [])
        assert service.http.get(f"{service.url}{DROP_IN}/{text}").status_code == 404


def test_key_is_in_no_log_line_of_a_read(compat: Service) -> None:
    assert compat.http.get(compat.url + DROP_IN, headers={"authorization": "Bearer wrong-key"}).status_code == 401
    line = compat.program.line(lambda line: '"key.refused"' in line and DROP_IN in line, seconds=10)
    assert line
    assert json.loads(line)["route"] == DROP_IN
    assert not any(KEY in each or "wrong-key" in each for each in compat.program.lines)
