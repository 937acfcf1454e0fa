"""The tokens of a chat, once it has ended: as Groq counted them, or as we estimate them where it did not."""

from http import HTTPStatus
from typing import Any

from app.chat.block import Usage
from app.chat.pace import Pace
from app.core.errors import UpstreamTimeout

_BYTES_PER_TOKEN = 4


def counted(
    usage: Usage | None, pace: Pace, *, body_bytes: int, answer_bytes: int
) -> tuple[Usage, str] | tuple[None, None]:
    """The tokens, and who counted them. None where Groq did no work: it was not reached, refused, or never answered.

    It works from the request until it refuses, and on an answer that it has begun, however that ends: a client that
    leaves before the first token has spent the prompt. An estimate is a token for every four bytes of the request (with
    its tools and pictures), and one for each chunk of a stream or for every four bytes of a whole answer.
    """
    if usage is not None:
        return usage, "upstream"
    if any(map(_was_work, pace.attempts)):
        return Usage(body_bytes // _BYTES_PER_TOKEN, pace.deltas or answer_bytes // _BYTES_PER_TOKEN), "estimated"
    return None, None


def _was_work(attempt: dict[str, Any]) -> bool:
    """It was answered; or nobody waited any longer, or not for the first byte of an answer that was promised."""
    promised = attempt["status"] == HTTPStatus.OK
    return attempt["result"] in {"ok", "cancelled"} or (promised and attempt["result"] == UpstreamTimeout.code)


def streamed(usage: Usage | None, reasoning: list[str]) -> int:
    """The tokens that came between the first and the last: reasoning that Groq kept to itself came before."""
    if usage is None:
        return 0
    return usage.completion_tokens - (0 if reasoning else usage.reasoning_tokens)
