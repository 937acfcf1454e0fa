"""Who asks."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """`request_id` is ours, the id of the chat's row; `client_request_id` is what the caller sent as `x-request-id`."""

    request_id: UUID
    client_request_id: str | None = None
