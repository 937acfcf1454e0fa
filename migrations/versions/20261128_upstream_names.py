"""groq_request_id becomes upstream_request_id: the column does not depend on the provider."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_upstream_names"
down_revision: str | None = "20261127_nullable_content"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Renames the column; no row is rewritten."""
    op.execute("ALTER TABLE chat_logs RENAME COLUMN groq_request_id TO upstream_request_id")


def downgrade() -> None:
    op.execute("ALTER TABLE chat_logs RENAME COLUMN upstream_request_id TO groq_request_id")
