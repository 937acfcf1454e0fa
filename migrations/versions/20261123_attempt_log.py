"""attempt_log: when each request of a chat to Groq began and ended, and how."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261123_attempt_log"
down_revision: str | None = "20261122_chat_logs"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Without a default no row is rewritten: the table is locked for a moment, however long it is."""
    op.add_column("chat_logs", sa.Column("attempt_log", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")))


def downgrade() -> None:
    op.drop_column("chat_logs", "attempt_log")
