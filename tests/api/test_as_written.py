"""A request reaches Groq as the client wrote it, and its row as far as a database can store that."""

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


def test_what_is_forwarded_is_not_written_anew(upstream: Recording, http: httpx2.Client, tmp_path: Path) -> None:
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


def test_the_row_has_what_was_written_but_for_what_no_database_stores(service: Service) -> None:
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


def test_a_byte_order_mark_is_left_out_and_other_encodings_are_refused(service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    assert service.chat(content=json.dumps(body).encode("utf-8-sig")).done
    refused = service.chat(content=json.dumps(body).encode("utf-16"))
    assert (refused.status, refused.error["message"].endswith("send JSON in UTF-8")) == (400, True)


@pytest.mark.parametrize("kind", ["Application/JSON; charset=utf-8", "application/vnd.chat+json"])
def test_types_of_json_are_taken_in_any_case(service: Service, kind: str) -> None:
    assert service.chat(headers={"content-type": kind}).done


def decoded(value: Any) -> Any:
    """SQLite has JSON as text."""
    return json.loads(value) if isinstance(value, str) else value
