"""What is ours in a stream: everything else is Groq's, byte for byte."""

import msgspec

from app.core.errors import ServiceError

DONE = b"data: [DONE]\n\n"
"""The receipt: the row of this chat is durable."""


KEEPALIVE = b": waiting for Groq\n\n"
"""A comment, which clients skip: proxies see that the connection lives, and so does whoever watches it."""


def error_event(error: ServiceError) -> bytes:
    """A failure after the first token, when there is no HTTP status left to give."""
    return b"event: error\ndata: " + msgspec.json.encode(error.envelope()) + b"\n\n"
