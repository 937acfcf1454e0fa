"""The provider's id of an answer, the end user of a chat, and when its client left."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "20261129_stored_chats"
down_revision: str | None = "20261128_upstream_names"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Without a default no row is rewritten: the table is locked for a moment, however long it is."""
    op.add_column("chat_logs", sa.Column("client_left_at", sa.DateTime(timezone=True)))
    op.add_column("chat_logs", sa.Column("end_user", sa.Text()))
    op.add_column("chat_logs", sa.Column("upstream_response_id", sa.Text()))


def downgrade() -> None:
    for name in ("upstream_response_id", "end_user", "client_left_at"):
        op.drop_column("chat_logs", name)
