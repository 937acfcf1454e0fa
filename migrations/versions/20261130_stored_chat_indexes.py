"""Indexes for reading a client's chats: by model, failure, end user, and the provider's id of the answer."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "20261130_stored_chat_indexes"
down_revision: str | None = "20261129_stored_chats"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_INDEXES = (
    ("ix_chat_logs_client", ["client", "id"], None),
    ("ix_chat_logs_model", ["model_name", "client", "id"], None),
    ("ix_chat_logs_outcome", ["outcome", "client", "id"], "outcome <> 'completed'"),
    ("ix_chat_logs_error", ["error_code", "client", "id"], "error_code IS NOT NULL"),
    ("ix_chat_logs_end_user", ["end_user", "id"], "end_user IS NOT NULL"),
    ("ix_chat_logs_upstream_response", ["upstream_response_id"], "upstream_response_id IS NOT NULL"),
)


def upgrade() -> None:
    """PostgreSQL builds the indexes while chats are stored, outside a transaction: after an interruption, run it again.

    Those that are built are left as they are.
    It waits for transactions that have begun. Nothing waits for it meanwhile, so that the wait needs no limit.
    """
    if op.get_context().dialect.name != "postgresql":
        _create(concurrently=False)
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        _create(concurrently=True)
        op.execute("SET lock_timeout = '2s'")


def downgrade() -> None:
    for name, _, _ in _INDEXES:
        op.drop_index(name, "chat_logs")


def _create(*, concurrently: bool) -> None:
    for name, columns, rows in _INDEXES:
        if concurrently and _is_valid(name):
            continue
        where = None if rows is None else sa.text(rows)
        # An interrupted run leaves an index that is not valid.
        op.drop_index(name, "chat_logs", if_exists=True, postgresql_concurrently=concurrently)
        op.create_index(
            name,
            "chat_logs",
            columns,
            postgresql_where=where,
            sqlite_where=where,
            postgresql_concurrently=concurrently,
        )


def _is_valid(name: str) -> bool:
    if op.get_context().as_sql:
        return False  # not known
    found = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    return op.get_bind().execute(found, {"name": name}).scalar() is True
