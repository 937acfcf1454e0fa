"""Answers that are not streamed, over real sockets."""

from typing import Any

import pytest

from app.core.config import Settings
from app.core.upstream import UpstreamBroken
from app.services.chat.block import Block
from app.services.groq_client import GroqClient
from tests.services.groq.clients import PAYLOAD
from tests.support.replay import replaying

KEY = "gsk_a-key-of-groq"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


async def complete(body: bytes, **limits: Any) -> Block:
    """The block of an answer with this body."""
    with replaying([HEAD % len(body), body]) as url:
        settings = Settings(_env_file=None, groq_api_key=KEY, groq_base_url=url, **limits)
        async with GroqClient(settings) as client:
            answer = await client.open({**PAYLOAD, "stream": False}, on_attempt=lambda _: None)
            return await answer.read()


async def test_json_that_is_no_object_is_relayed_and_reported() -> None:
    block = await complete(b"[1]")
    assert (block.data, block.unexpected, block.ended) == (b"[1]", {"event"}, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "is not JSON"),
        (b'{"id":"%s"}' % (b"x" * 2**20), "is longer than"),
        (b'{"x_groq":{"error":"%s is exhausted"}}' % KEY.encode(), r"^\(the key of this service\) is exhausted"),
    ],
)
async def test_an_answer_that_is_broken_raises(body: bytes, words: str) -> None:
    with pytest.raises(UpstreamBroken, match=words):
        await complete(body, chat_max_answer_bytes=1000)
