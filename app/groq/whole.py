"""An answer that is not streamed: one JSON object, read to its end before anything else happens."""

import aiohttp

from app.core.errors import UpstreamBroken
from app.groq.chunks import note, parse
from app.groq.errors import cause_of
from app.groq.redaction import Redactor
from app.services.chat.block import Block


class WholeAnswer:
    """Satisfies `chat.ports.UpstreamStream`: its one block is the whole body, byte for byte."""

    def __init__(self, block: Block) -> None:
        self._block = block

    async def read(self) -> Block:
        return self._block

    async def aclose(self) -> None:
        """The body was read to its end, so that its connection has returned to the pool."""


async def read_whole(response: aiohttp.ClientResponse, *, max_bytes: int, redactor: Redactor) -> WholeAnswer:
    """The answer, once it is here. Raises UpstreamBroken for a body that breaks off, is too long, or is no JSON object.

    It is never retried from here on: Groq was paid for it.
    """
    async with response:
        body = bytearray()
        try:
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > max_bytes:
                    response.close()
                    raise UpstreamBroken(f"Groq's answer is longer than {max_bytes} bytes")
        except (aiohttp.ClientError, OSError) as exc:
            broken = UpstreamBroken("the connection to Groq broke off")
            broken.cause = cause_of(exc)
            raise broken from exc
    block = _block_of(bytes(body))
    redactor.redact_block(block)
    if block.error is not None:
        raise block.error
    return WholeAnswer(block)


def _block_of(body: bytes) -> Block:
    block = Block(data=body)
    try:
        chunk = parse(body)
    except ValueError as exc:
        block.error = UpstreamBroken("Groq's answer is not JSON")
        block.error.__cause__ = exc
        return block
    if chunk is None:
        block.unexpected.add("event")
    else:
        note(chunk, block)
        block.chunks = 0  # it has no first chunk and no first token
    if block.early_stop and not block.finished and block.error is None:
        block.error = UpstreamBroken(block.early_stop)
    block.ended = block.error is None
    return block
