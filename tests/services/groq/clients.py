"""A client of Groq at a given address, and its answers read to their end."""

from collections.abc import AsyncIterator
from typing import Any

from app.core.config import Settings
from app.core.upstream import Attempt
from app.services.chat.block import Block
from app.services.groq.stream import GroqStream
from app.services.groq_client import GroqClient

PAYLOAD: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}], "model": "openai/gpt-oss-20b", "stream": True
}  # fmt: skip


def settings(url: str, **limits: Any) -> Settings:
    return Settings(_env_file=None, groq_api_key="test", groq_base_url=url, groq_retry_sleep_budget_s=2, **limits)


async def open_stream(client: GroqClient, attempts: list[Attempt] | None = None) -> GroqStream:
    noted: list[Attempt] = [] if attempts is None else attempts
    stream = await client.open(PAYLOAD, on_attempt=noted.append)
    assert isinstance(stream, GroqStream)
    return stream


async def read_all(client: GroqClient) -> list[Block]:
    """All blocks of one stream, which is closed then."""
    stream = await open_stream(client)
    try:
        return [block async for block in blocks(stream)]
    finally:
        await stream.aclose()


async def blocks(stream: GroqStream) -> AsyncIterator[Block]:
    while True:
        block = await stream.read()
        yield block
        if block.ended or block.error:
            return
