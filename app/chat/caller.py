"""Who asks, and when."""

import time
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """`request_id` is ours, the id of the chat's row; `client_request_id` is what the caller sent as `x-request-id`.

    `client` is the name of its API key.
    `body_bytes` is the size of its request.
    `arrived` is when the request's last byte had come, in seconds on `time.monotonic`'s clock.
    """

    request_id: UUID
    client_request_id: str | None = None
    client: str | None = None
    route: str | None = None
    body_bytes: int = 0
    arrived: float = field(default_factory=time.monotonic)
