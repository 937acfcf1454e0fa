"""Requests are forwarded to Groq as the client wrote them, and stored as far as the database can."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.recording import Recording, recording
from tests.support.service import Service, SimulatedGroq, service_before

MESSAGES = r"""[ {"role": "user", "name": "a\u0000b",
  "content": [{"type": "text", "text": "\u00e9\ud83d\ude00 \\u0000 é", "n": 1.50, "n": 1E2}]}
]"""
EXTRA = r"""{ "deep": [[1.0, 123456789012345678901234567890, -0.0, 1e-7], "\/"], "x\u0000": null }"""
BODY = (
    f'\n{{ "messages": {MESSAGES},\t"temperature": 1, "search_settings": {EXTRA}, "seed": 7.0, '
    '"model": "a", "model": "b" }\n'
)


@pytest.fixture
def upstream() -> Iterator[Recording]:
    with recording() as running:
        yield running


def test_values_are_forwarded_byte_for_byte(upstream: Recording, http: httpx2.Client, tmp_path: Path) -> None:
    groq = SimulatedGroq(upstream.url, http)
    with service_before(groq, tmp_path, {}) as service:
        assert service.chat(content=BODY.encode()).done
    (request,) = upstream.requests
    sent = request.partition("\n\n")[2] or request
    assert MESSAGES in sent
    assert EXTRA in sent
    assert '"temperature":1,' in sent
    assert '"seed":7,' in sent, "Groq takes no 7.0"
    assert (sent.count('"model"'), '"model":"b"' in sent) == (1, True)


def test_row_has_the_request_with_unstorable_text_replaced(service: Service) -> None:
    allowed = BODY.replace(r'"name": "a\u0000b",', "")  # Groq takes no names of users
    content = allowed.replace('"model": "a", "model": "b"', '"citation_options": 1').encode()
    reply = service.chat(content=content)
    assert reply.done
    row = service.row(reply.id)
    (message,) = decoded(row["messages"])
    assert message["content"] == [{"type": "text", "text": "é😀 \\u0000 é", "n": 100.0}]
    assert row["prompt"] == "é😀 \\u0000 é"
    assert decoded(row["params"]) == {
        "temperature": 1,
        "search_settings": {"deep": [[1.0, 123456789012345678901234567890, 0.0, 1e-7], "/"], "x\ufffd": None},
        "seed": 7,
        "citation_options": 1,
    }


def test_utf8_with_a_byte_order_mark_is_accepted_and_utf16_refused(service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    assert service.chat(content=json.dumps(body).encode("utf-8-sig")).done
    refused = service.chat(content=json.dumps(body).encode("utf-16"))
    assert (refused.status, refused.error["message"].endswith("send JSON in UTF-8")) == (400, True)


@pytest.mark.parametrize("kind", ["Application/JSON; charset=utf-8", "application/vnd.chat+json"])
def test_json_media_types_are_accepted_in_any_case(service: Service, kind: str) -> None:
    assert service.chat(headers={"content-type": kind}).done


def decoded(value: Any) -> Any:
    """SQLite returns JSON as text."""
    return json.loads(value) if isinstance(value, str) else value
