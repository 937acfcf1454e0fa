"""The two events that are ours: everything else in a stream is Groq's, byte for byte."""

import msgspec

from app.core.errors import ServiceError

DONE = b"data: [DONE]\n\n"
"""The receipt: the row of this chat is durable."""


def error_event(error: ServiceError) -> bytes:
    """A failure after the first byte, when there is no HTTP status left to give."""
    return b"event: error\ndata: " + msgspec.json.encode(error.envelope()) + b"\n\n"
