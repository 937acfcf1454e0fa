"""`python -m tests.serving.unlisted_column`: the service with a column and a detail that no signal lists."""

import sys
from dataclasses import dataclass

from sqlalchemy import Text
from sqlalchemy.orm import mapped_column

from app.core import record

MARKER = "sentinel-of-a-nickname"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Details(record.Details):
    device: str = MARKER


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChatRecord(record.ChatRecord):
    nickname: str | None = MARKER
    details: record.Details = _Details()


if __name__ == "__main__":
    # Before other modules import these names.
    record.ChatRecord = _ChatRecord  # type: ignore[misc]
    record.Details = _Details  # type: ignore[misc]
    from app.db.models import ChatLog

    ChatLog.nickname = mapped_column(Text)
    from app.__main__ import main

    sys.exit(main())
