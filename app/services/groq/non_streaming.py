"""An answer that is not streamed: one JSON object, read to its end before anything else happens."""

import aiohttp

from app.core.upstream import UpstreamBroken
from app.services.chat.block import Block
from app.services.groq.chunks import add_chunk, parse_chunk
from app.services.groq.errors import Redactor, caused_by
from app.services.groq.http import read_body


class GroqCompletion:
    """Implements `services.chat.ports.UpstreamAnswer`: its one block is the whole body, byte for byte."""

    def __init__(self, block: Block) -> None:
        self._block = block

    async def read(self) -> Block:
        return self._block

    async def aclose(self) -> None:
        """Does nothing: the body was read to its end, and its connection has returned to the pool."""


async def read_completion(response: aiohttp.ClientResponse, *, max_bytes: int, redactor: Redactor) -> GroqCompletion:
    """Returns the completion when it has arrived.

    Raises UpstreamBroken, which is never retried as Groq has billed the answer: for a body that breaks off, is too
    long, or is no JSON object. Raises Groq's own error if the body holds one.
    """
    async with response:
        try:
            body = await read_body(response, max_bytes=max_bytes)
        except (aiohttp.ClientError, OSError) as exc:
            raise caused_by(exc, UpstreamBroken("the connection to Groq broke off")) from exc
    if len(body) > max_bytes:
        raise UpstreamBroken(f"Groq's answer is longer than {max_bytes} bytes")
    block = _parse(body)
    redactor.redact_block(block)
    if block.error is not None:
        raise block.error
    return GroqCompletion(block)


def _parse(body: bytes) -> Block:
    block = Block(data=body)
    try:
        chunk = parse_chunk(body)
    except ValueError as exc:
        raise UpstreamBroken("Groq's answer is not JSON") from exc
    if chunk is None:
        block.unexpected.add("event")
    else:
        add_chunk(chunk, block)
        block.chunks = 0  # it has no first chunk and no first token
    if block.early_stop and not block.finished_choices and block.error is None:
        block.error = UpstreamBroken(block.early_stop)
    block.ended = block.error is None
    return block
