"""`python -m tests.serving.with_a_column`: the service with a column and a detail that nobody has listed."""

import sys
from dataclasses import dataclass

from sqlalchemy import Text
from sqlalchemy.orm import mapped_column

from app.core import record

MARK = "sentinel-of-an-end-user"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Details(record.Details):
    device: str = MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChatRecord(record.ChatRecord):
    end_user: str | None = MARK
    details: record.Details = _Details()


if __name__ == "__main__":
    # Before anything else is imported: the other modules find these instead of their own.
    record.ChatRecord = _ChatRecord  # type: ignore[misc]
    record.Details = _Details  # type: ignore[misc]
    from app.db.models import ChatLog

    ChatLog.end_user = mapped_column(Text)
    from app.__main__ import main

    sys.exit(main())
