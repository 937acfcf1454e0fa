"""refusal: what a model wrote instead of an answer."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "20261126_refusal"
down_revision: str | None = "20261123_attempt_log"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Without a default no row is rewritten: the table is locked for a moment, however long it is."""
    op.add_column("chat_logs", sa.Column("refusal", sa.Text()))


def downgrade() -> None:
    op.drop_column("chat_logs", "refusal")
