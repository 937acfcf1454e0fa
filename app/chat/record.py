"""One chat as it is kept: a field for each column of `chat_logs`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecord:
    """What was asked, what came, how it ended. Times are in milliseconds, money in US dollars.

    `response` is the answer as the client was sent it; `reasoning` and `tool_calls` are what came beside it.
    `usage_source` is `upstream`, or `estimated` when the stream broke off before Groq had counted.
    """

    id: UUID
    created_at: datetime
    outcome: Outcome
    error_code: str | None
    http_status: int
    requested_model: str
    model_name: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    cached_tokens: int | None
    usage_source: str | None
    cost_usd: float | None
    ttft_ms: float | None
    duration_ms: float
    queue_ms: float
    attempts: int
    groq_request_id: str | None
    client_request_id: str | None
    client: str | None = None
    trace_id: str | None = None
    prompt: str
    messages: list[dict[str, Any]]
    params: dict[str, Any]
    response: str
    reasoning: str | None
    tool_calls: list[dict[str, Any]] | None
