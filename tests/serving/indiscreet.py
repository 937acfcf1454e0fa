"""The service as loud as it can be, and with a bug: reading one model's answer fails with a message that quotes it."""

from fastapi import FastAPI

from app.services.chat.block import Block
from app.services.groq.stream import GroqStream
from tests.serving import loudly

MODEL = "buggy"

_read = GroqStream.read


async def _read_with_a_bug(stream: GroqStream) -> Block:
    block = await _read(stream)
    if block.model == MODEL and block.text:
        try:
            raise ValueError(f"cannot read {block.text}")
        except ValueError as exc:
            raise RuntimeError(f"a bug at {block.data!r}") from exc
    return block


def create_app() -> FastAPI:
    """With the environment's settings."""
    GroqStream.read = _read_with_a_bug  # type: ignore[assignment, method-assign]
    return loudly.create_app()
