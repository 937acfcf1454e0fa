"""prompt, messages and response may be NULL: the content of a chat need not be stored, and a failed one has no text."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261127_nullable_content"
down_revision: str | None = "20261126_refusal"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_COLUMNS = (("prompt", sa.Text(), "''"), ("messages", _json, "'[]'"), ("response", sa.Text(), "''"))
"""Each with its type, and what stands for NULL after a downgrade."""


def upgrade() -> None:
    """PostgreSQL rewrites no row: the table is locked for a moment, however long it is."""
    for name, kind, _ in _COLUMNS:
        if op.get_context().dialect.name == "sqlite":
            _replace(name, kind)
        else:
            op.alter_column("chat_logs", name, nullable=True)


def downgrade() -> None:
    """On SQLite the columns stay nullable: no row makes use of that any longer."""
    for name, _, empty in _COLUMNS:
        column: sa.ColumnClause[Any] = sa.column(name)
        fill = sa.update(sa.table("chat_logs", column)).where(column.is_(None))
        op.execute(fill.values({name: sa.literal_column(empty)}))
        if op.get_context().dialect.name != "sqlite":
            op.alter_column("chat_logs", name, nullable=False)


def _replace(name: str, kind: sa.types.TypeEngine[Any]) -> None:
    """SQLite cannot change a column. Alembic's batch mode would copy the table, but not with `--sql`."""
    new = f"{name}_nullable"
    op.add_column("chat_logs", sa.Column(new, kind))
    op.execute(sa.update(sa.table("chat_logs", sa.column(new))).values({new: sa.column(name)}))
    op.drop_column("chat_logs", name)
    op.execute(f"ALTER TABLE chat_logs RENAME COLUMN {new} TO {name}")
