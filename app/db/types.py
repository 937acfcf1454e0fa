"""Column types with the same Python values on PostgreSQL and SQLite."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import JSON, DateTime, Dialect, Numeric, String, TypeDecorator, Uuid
from sqlalchemy.dialects.postgresql import JSONB


class _DashedUuid(TypeDecorator[UUID]):
    """Stores an id in SQLite as text with dashes, as the response header has it."""

    impl = String(36)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> UUID | None:  # noqa: ARG002
        return None if value is None else UUID(value)


class _UtcText(TypeDecorator[datetime]):
    """Stores UTC in SQLite, which has no time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


Id = Uuid().with_variant(_DashedUuid(), "sqlite")
Timestamp = DateTime(timezone=True).with_variant(_UtcText(), "sqlite")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Dollars = Numeric(14, 9, asdecimal=False)
