"""Invalid requests are answered with the field and the fix."""

import json
from typing import Any

import pytest

from tests.support.service import HELLO, PATH, Service

MESSAGE = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "messages", "required"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": "Hi"}, "messages", "valid list"),
        ({"messages": ["Hi"]}, "messages.0", "valid dictionary or object"),
        ({"messages": [{"content": "Hi"}]}, "messages.0.role", "required"),
        ({"messages": [{"role": "boss", "content": "Hi"}]}, "messages.0.role", "'user'"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages.0.content",
            "a valid string or Input should be a valid list",
        ),
        ({"messages": [MESSAGE], "temperature": 2.5}, "temperature", "less than or equal to 2"),
        ({"messages": [MESSAGE], "temperature": "0.5"}, "temperature", "valid number"),
        ({"messages": [MESSAGE], "temperature": True}, "temperature", "valid number"),
        ({"messages": [MESSAGE], "top_p": -1}, "top_p", "greater than or equal to 0"),
        ({"messages": [MESSAGE], "max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"messages": [MESSAGE], "max_tokens": 1.5}, "max_tokens", "valid integer"),
        ({"messages": [MESSAGE], "stop": list("abcde")}, "stop", "at most 4 items"),
        ({"messages": [MESSAGE], "tools": [{}] * 129}, "tools", "at most 128 items"),
        ({"messages": [MESSAGE], "model": ""}, "model", "at least 1 character"),
        ({"messages": [MESSAGE], "stream": False}, "stream", "True"),
        ([], None, "JSON object"),
        ("Hi", None, "JSON object"),
    ],
)
def test_invalid_field_is_named_with_its_fix(service: Service, body: Any, param: str | None, words: str) -> None:
    reply = service.chat(content=json.dumps(body).encode())
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == param
    assert words in reply.error["message"]
    assert reply.id


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "JSON object"),
        (b"Hello", "not JSON"),
        (b'{"messages": [', "not JSON"),
        (b'{"messages": "\xff"}', "parsing the body"),
        (b'{"messages": ' + b"[" * 50_000, "JSON"),
    ],
)
def test_malformed_json_is_refused(service: Service, content: bytes, words: str) -> None:
    reply = service.chat(content=content)
    assert reply.status == 400
    assert words in reply.error["message"]


def test_unpaired_surrogate_is_refused_in_every_position(service: Service) -> None:
    half = "\ud800"
    values = [{"messages": [{"role": "user", "content": half}]}, {**HELLO, "x": half}, {**HELLO, "model": half}]
    names = [{**HELLO, half: 1}, {"messages": [{**MESSAGE, half: 1}]}, {**HELLO, "tools": [{half: 1}]}]
    for body in values + names:
        reply = service.chat(content=json.dumps(body).encode())
        assert reply.status == 400
        assert "unpaired surrogate" in reply.error["message"]


def test_large_numbers_are_forwarded_and_stored(service: Service) -> None:
    for body in ({**HELLO, "seed": 10**30}, {**HELLO, "search_settings": {"y": [-(10**40), 1e300]}}):
        reply = service.chat(body)
        assert reply.done
        assert service.row(reply.id)["outcome"] == "completed"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_number_outside_of_json_is_refused(service: Service, number: str) -> None:
    reply = service.chat(content=b'{"messages":[{"role":"user","content":"Hi"}],"x":[%s]}' % number.encode())
    assert reply.status == 400
    assert "NaN" in reply.error["message"]


def test_body_nested_too_deep_is_refused(service: Service) -> None:
    def nested(depth: int) -> bytes:
        return b'{"messages":[{"role":"user","content":"Hi"}],"documents":' + b"[" * depth + b"]" * depth + b"}"

    assert service.chat(content=nested(60)).done
    for depth in (70, 600, 900):
        reply = service.chat(content=nested(depth))
        assert (reply.status, reply.error["message"]) == (400, "the body is nested more than 64 levels deep")


def test_error_of_a_body_with_many_mistakes_is_short(service: Service) -> None:
    """An error for each mistake would cost seconds and much memory for a small body."""
    for body in ({"messages": [0] * 20_000}, {"messages": [{"role": "user", "content": [0] * 20_000}]}):
        reply = service.chat(body)
        assert reply.status == 400
        assert len(reply.body) < 1000


def test_only_the_first_invalid_field_is_named(service: Service) -> None:
    """`messages.1` does not match `messages.10`."""
    messages = [MESSAGE, "no object", *[MESSAGE] * 8, {"role": "boss"}]
    error = service.chat({"messages": messages}).error
    assert error["param"] == "messages.1"
    assert "boss" not in error["message"]
    assert "'system'" not in error["message"]


def test_wrong_content_type_is_refused_with_the_right_header(service: Service) -> None:
    reply = service.chat(headers={"content-type": "text/plain"})
    assert reply.status == 400
    assert "content-type: application/json" in reply.error["message"]


def test_body_over_the_limit_is_refused(service: Service) -> None:
    reply = service.chat({"messages": [{"role": "user", "content": "x" * 100_000}]})
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert "100000 bytes" in reply.error["message"]


def test_chunked_body_over_the_limit_is_refused(service: Service) -> None:
    pieces = (b"x" * 1000 for _ in range(101))
    response = service.http.post(service.url + PATH, content=pieces, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


def test_unknown_path_and_method_have_the_error_format(service: Service) -> None:
    missing = service.http.get(f"{service.url}/nowhere")
    assert missing.status_code == 404
    assert "/docs" in missing.json()["error"]["message"]
    wrong = service.http.get(service.url + PATH)
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert wrong.json()["error"]["type"] == "invalid_request_error"
