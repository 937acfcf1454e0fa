"""Who asks, and when."""

import time
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


class Lease(Protocol):
    """The memory that a request's body takes, until nobody holds it."""

    def hold(self) -> None:
        """A chat needs it, and will release it."""
        ...

    def release(self) -> None:
        """One less does."""
        ...


class _NoLease:
    def hold(self) -> None:
        """Nothing to hold."""

    def release(self) -> None:
        """Nothing to release."""


NO_LEASE: Lease = _NoLease()
"""Of a request whose memory is not counted."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`request_id` is ours, the id of the chat's row; `client_request_id` is what the caller sent as `x-request-id`.

    `client` is the name of its API key.
    `body_bytes` is the size of its request, `lease` the memory that it takes.
    `arrived` is when the request's last byte had come, in seconds on `time.monotonic`'s clock.
    """

    request_id: UUID
    client_request_id: str | None = None
    client: str | None = None
    route: str | None = None
    body_bytes: int = 0
    lease: Lease = NO_LEASE
    arrived: float = field(default_factory=time.monotonic)
