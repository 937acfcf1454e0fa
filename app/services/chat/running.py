"""The running chats of this worker, and what may be shown of them: no text of prompts or answers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.services.chat.session import ChatSession
from app.services.chat.timing import milliseconds


@dataclass(frozen=True, slots=True)
class RunningChat:
    """A chat that runs, or whose row is being stored. Names are those of the row where it has the same fact.

    `age_ms` counts from the request, `silence_ms` from the last progress; before any, from the request. Unlike
    `longest_silence_ms` of the record, it also counts chunks without progress, and while the client accepts no data.
    `tokens` are the chunks with progress so far, each of about one token. `attempts` are those that have ended.
    """

    id: UUID
    created_at: datetime
    client: str | None
    client_left_at: datetime | None
    requested_model: str
    model_name: str
    streamed: bool
    age_ms: float
    ttft_ms: float | None
    silence_ms: float
    tokens: int
    attempts: int


class RunningChats:
    """One per process. May be read from any thread."""

    def __init__(self) -> None:
        self._sessions: dict[UUID, ChatSession] = {}

    def add(self, session: ChatSession) -> None:
        """The chat was admitted."""
        self._sessions[session.context.request_id] = session

    def remove(self, session: ChatSession) -> None:
        """The chat's row is durable, or could not be stored."""
        self._sessions.pop(session.context.request_id, None)

    def __contains__(self, chat_id: object) -> bool:
        return chat_id in self._sessions

    def __iter__(self) -> Iterator[RunningChat]:
        """The oldest first."""
        now = time.monotonic()
        return iter([_snapshot(session, now) for session in list(self._sessions.values())])


def _snapshot(session: ChatSession, now: float) -> RunningChat:
    timing = session.timing
    return RunningChat(
        id=session.context.request_id,
        created_at=session.created_at,
        client=session.context.client,
        client_left_at=session.client_left_at,
        requested_model=session.requested_model,
        model_name=session.model,
        streamed=session.streamed,
        age_ms=milliseconds(now - timing.arrived),
        ttft_ms=milliseconds(timing.first_token_s),
        silence_ms=milliseconds(now - timing.last_token_at),
        tokens=session.received.progress_chunks,
        attempts=len(timing.attempt_log),
    )
