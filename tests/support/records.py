"""A record with a value in every field."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Raw
from uuid_utils.compat import uuid7

from app.core.outcomes import Outcome
from app.core.record import ChatRecord


def record(**changes: Any) -> ChatRecord:
    """Fields that are not given have plausible values."""
    fields: dict[str, Any] = {
        "id": uuid7(),
        "created_at": datetime(2026, 11, 22, 10, 30, 15, 123456, UTC),
        "client_request_id": "mine",
        "prompt": "Hi",
        "messages": Raw(b'[{"role":"user","content":"Hi"}]'),
        "params": {"temperature": 0.5},
        "requested_model": "requested",
        "model_name": "answered",
        "response": "Hello, 東京 🚀",
        "reasoning": "Hm",
        "tool_calls": [{"id": "call_1", "index": 0}],
        "outcome": Outcome.COMPLETED,
        "error_code": "none",
        "http_status": 200,
        "finish_reason": "stop",
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "reasoning_tokens": 1,
        "cached_tokens": 2,
        "usage_source": "upstream",
        "cost_usd": 0.00000125,
        "ttft_ms": 12.5,
        "duration_ms": 100.25,
        "queue_ms": 0.5,
        "attempts": 2,
        "attempt_log": [{"model": "answered", "started_ms": 0.5, "ended_ms": 9.5, "result": "ok", "status": 200}],
        "upstream_request_id": "req_1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "client": "default",
        "client_left_at": datetime(2026, 11, 22, 10, 30, 16, 654321, UTC),
        "end_user": "user-1",
        "upstream_response_id": "chatcmpl-1",
    }
    return ChatRecord(**fields | changes)
