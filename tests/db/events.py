"""Telemetry of rows that records its events."""

from collections.abc import Sequence

from app.core.record import ChatRecord


class RecordedEvents:
    """Implements CommitEvents and OutboxEvents."""

    def __init__(self) -> None:
        self.commits: list[tuple[int, str | None]] = []
        self.rejected = 0
        self.outbox: list[tuple[int, bool]] = []

    def rows_committed(
        self, records: Sequence[ChatRecord], *, began_ns: int, took_s: float, failure: str | None
    ) -> None:
        assert began_ns > 0
        assert took_s >= 0
        self.commits.append((len(records), failure))

    def outbox_written(self, records: Sequence[ChatRecord], *, began_ns: int, failed: bool) -> None:
        assert began_ns > 0
        self.outbox.append((len(records), failed))

    def row_rejected(self) -> None:
        self.rejected += 1
