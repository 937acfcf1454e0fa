"""The service with a bug in it: reading one model's answer fails with what nobody expects."""

from fastapi import FastAPI

from app.main import create_app as create_whole_app
from app.services.chat.block import Block
from app.services.groq.non_streaming import GroqCompletion
from app.services.groq.stream import GroqStream

MODEL = "openai/gpt-oss-120b"

_read_stream, _read_whole = GroqStream.read, GroqCompletion.read


def _checked(block: Block) -> Block:
    if block.model == MODEL:
        raise RuntimeError("a bug")
    return block


async def _stream_with_a_bug(stream: GroqStream) -> Block:
    return _checked(await _read_stream(stream))


async def _whole_with_a_bug(answer: GroqCompletion) -> Block:
    return _checked(await _read_whole(answer))


def create_app() -> FastAPI:
    """With the environment's settings."""
    GroqStream.read = _stream_with_a_bug  # type: ignore[assignment, method-assign]
    GroqCompletion.read = _whole_with_a_bug  # type: ignore[assignment, method-assign]
    return create_whole_app()
