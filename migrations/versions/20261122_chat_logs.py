"""chat_logs: a row for every chat."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261122_chat_logs"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A migration is history: it spells its types out, so that it stays what it was when the model moves on.
_id = sa.Uuid().with_variant(sa.String(36), "sqlite")
_timestamp = sa.DateTime(timezone=True)
_json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "chat_logs",
        sa.Column("id", _id, nullable=False),
        sa.Column("created_at", _timestamp, nullable=False),
        sa.Column("client", sa.Text()),
        sa.Column("client_request_id", sa.Text()),
        sa.Column("trace_id", sa.Text()),
        sa.Column("requested_model", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("messages", _json, nullable=False),
        sa.Column("params", _json, nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("reasoning", sa.Text()),
        sa.Column("tool_calls", _json),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column("http_status", sa.Integer(), nullable=False),
        sa.Column("finish_reason", sa.Text()),
        sa.Column("prompt_tokens", sa.BigInteger()),
        sa.Column("completion_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("cached_tokens", sa.BigInteger()),
        sa.Column("usage_source", sa.Text()),
        sa.Column("cost_usd", sa.Numeric(14, 9)),
        sa.Column("ttft_ms", sa.Double()),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("queue_ms", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("groq_request_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_chat_logs"),
    )
    op.create_index("ix_chat_logs_created_at", "chat_logs", ["created_at"])


def downgrade() -> None:
    op.drop_table("chat_logs")
