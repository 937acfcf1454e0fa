"""`chat_logs`: one row for every admitted chat."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Double, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, Dollars, Id, Json, Timestamp


class ChatLog(Base):
    """The columns are the fields of `core.record.ChatRecord`, which documents them.

    The id is a UUIDv7: ids sort by time.
    """

    __tablename__ = "chat_logs"
    __table_args__ = (
        Index("ix_chat_logs_client", "client", "id"),
        Index("ix_chat_logs_model", "model_name", "client", "id"),
        *(
            Index(f"ix_chat_logs_{name}", *columns, postgresql_where=text(rows), sqlite_where=text(rows))
            for name, columns, rows in (
                ("outcome", ("outcome", "client", "id"), "outcome <> 'completed'"),
                ("error", ("error_code", "client", "id"), "error_code IS NOT NULL"),
                ("end_user", ("end_user", "id"), "end_user IS NOT NULL"),
                ("upstream_response", ("upstream_response_id",), "upstream_response_id IS NOT NULL"),
            )
        ),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp, index=True)
    client: Mapped[str | None] = mapped_column(Text)
    client_request_id: Mapped[str | None] = mapped_column(Text)
    client_left_at: Mapped[datetime | None] = mapped_column(Timestamp)
    end_user: Mapped[str | None] = mapped_column(Text)
    trace_id: Mapped[str | None] = mapped_column(Text)

    requested_model: Mapped[str] = mapped_column(Text)
    model_name: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str | None] = mapped_column(Text)
    messages: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    params: Mapped[dict[str, Any]] = mapped_column(Json)

    response: Mapped[str | None] = mapped_column(Text)
    reasoning: Mapped[str | None] = mapped_column(Text)
    refusal: Mapped[str | None] = mapped_column(Text)
    tool_calls: Mapped[list[Any] | None] = mapped_column(Json)

    outcome: Mapped[str] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(Text)
    http_status: Mapped[int] = mapped_column(Integer)
    finish_reason: Mapped[str | None] = mapped_column(Text)

    prompt_tokens: Mapped[int | None] = mapped_column(BigInteger)
    completion_tokens: Mapped[int | None] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cached_tokens: Mapped[int | None] = mapped_column(BigInteger)
    usage_source: Mapped[str | None] = mapped_column(Text)
    cost_usd: Mapped[float | None] = mapped_column(Dollars)

    ttft_ms: Mapped[float | None] = mapped_column(Double)
    duration_ms: Mapped[float] = mapped_column(Double)
    queue_ms: Mapped[float] = mapped_column(Double)
    attempts: Mapped[int] = mapped_column(Integer)
    attempt_log: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    upstream_request_id: Mapped[str | None] = mapped_column(Text)
    upstream_response_id: Mapped[str | None] = mapped_column(Text)
