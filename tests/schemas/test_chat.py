"""The body of a chat request."""

from typing import Any

import pytest
from hypothesis import given

from app.core.errors import InvalidRequest
from app.schemas.chat import ChatRequest
from tests.fuzz.bodies import REQUESTS, check_request
from tests.support.bodies import as_objects, parsed


def request(**body: Any) -> ChatRequest:
    return parsed({"messages": [{"role": "user", "content": "Hi"}]} | body, ChatRequest)


def test_prompt_is_the_text_of_the_last_user_message() -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "last"}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "1"},
    ]
    assert request(messages=turns).prompt == "last"
    assert request(messages=[{"role": "system", "content": "alone"}]).prompt == ""
    assert request(messages=[{"role": "user", "content": None}]).prompt == ""


@pytest.mark.parametrize("first", [b"5", b'["x"]', b'"another text"', b"{}"])
def test_prompt_is_the_last_content_of_a_message_that_has_several(first: bytes) -> None:
    body = b'{"messages":[{"role":"user","content":%s,"content":"Hi"}]}' % first
    assert parsed(body, ChatRequest).prompt == "Hi"


def test_unknown_fields_are_unchanged() -> None:
    body = as_objects(request(logprobs=False, extra={"a": [1, 2.0, "x"]}).body)
    assert body["logprobs"] is False
    assert body["extra"] == {"a": [1, 2.0, "x"]}
    assert "temperature" not in body


@pytest.mark.parametrize("store", [True, False, None])
def test_store_is_not_part_of_the_upstream_body(*, store: bool | None) -> None:
    chat = request(store=store, temperature=1)
    assert chat.store is store
    assert chat.upstream_body == {name: value for name, value in chat.body.items() if name != "store"}


@pytest.mark.parametrize("store", ["false", 0, "no", {}])
def test_store_must_be_a_boolean(store: Any) -> None:
    """The text `"false"` must not count as true: its sender wants no row."""
    with pytest.raises(InvalidRequest, match="valid boolean"):
        request(store=store)


@given(REQUESTS)
def test_any_json_is_refused_or_can_be_forwarded(body: Any) -> None:
    check_request(body)
