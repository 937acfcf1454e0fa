"""The service with a bug in it: reading one model's answer fails with what nobody expects."""

from fastapi import FastAPI

from app.chat.block import Block
from app.groq.stream import GroqStream
from app.main import create_app as create_whole_app

MODEL = "openai/gpt-oss-120b"

_read = GroqStream.read


async def _read_with_a_bug(stream: GroqStream) -> Block:
    block = await _read(stream)
    if block.model == MODEL:
        raise RuntimeError("a bug")
    return block


def create_app() -> FastAPI:
    """With the environment's settings."""
    GroqStream.read = _read_with_a_bug  # type: ignore[assignment, method-assign]
    return create_whole_app()
