"""refusal: what a model wrote instead of an answer. response: null where no text came."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "20261126_whole_answers"
down_revision: str | None = "20261123_attempt_log"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """On PostgreSQL neither change rewrites a row; SQLite cannot alter a column, so that its table is copied."""
    with op.batch_alter_table("chat_logs") as table:
        table.add_column(sa.Column("refusal", sa.Text()))
        table.alter_column("response", existing_type=sa.Text(), nullable=True)


def downgrade() -> None:
    """Rows without a text get an empty one, which takes a scan of the table."""
    op.execute("UPDATE chat_logs SET response = '' WHERE response IS NULL")
    with op.batch_alter_table("chat_logs") as table:
        table.alter_column("response", existing_type=sa.Text(), nullable=False)
        table.drop_column("refusal")
