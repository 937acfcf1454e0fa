"""Whether the signals were on: after a run, every chat has to have its row and its spans."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from loadtests.bench.contenders import Contender
from loadtests.bench.stage import Stage
from tests.support.database import query
from tests.support.scrape import scrape, total

_PATIENCE_S = 15


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Since the beginning: rows, spans that were received by kind, and what the service's own metrics say."""

    rows: int = 0
    requests: int = 0
    chats: int = 0
    attempts: int = 0
    commits: int = 0
    commits_by_metrics: int = 0
    dropped: int = 0


class Witness:
    """Counts before and after a run of the whole service; of the others there is nothing to count."""

    def __init__(self, stage: Stage, contender: Contender) -> None:
        self._stage = stage
        self._service = contender.service
        self._before = self._count()

    def wait_for_spans(self, chats: int) -> None:
        """Until those of so many chats have come, or should have; the service is not asked, as that would cost it."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._service is not None and time.monotonic() < deadline:
            spans = self._stage.spans()
            if min(_requests(spans) - self._before.requests, _chats(spans) - self._before.chats) >= chats:
                return
            time.sleep(0.1)

    def problem(self, chats: int) -> str | None:
        """What is missing of so many chats."""
        if self._service is None:
            return None
        missing = self._missing(chats)
        return missing and f"all on: after {chats} chats there were {missing}"

    def _missing(self, chats: int) -> str | None:
        """An attempt may have been repeated, and rows that took the way through the spool have one span more."""
        new = self._count()
        exact = {"rows": chats, "requests": chats, "chats": chats}
        least = {"attempts": chats, "commits": new.commits_by_metrics - self._before.commits_by_metrics}
        for name, expected in (exact | least).items():
            found = getattr(new, name) - getattr(self._before, name)
            if found < expected or (found > expected and name in exact):
                return f"{found} {name}" if name == "rows" else f"{found} spans of {expected} {name}"
        return f"{new.dropped} spans dropped" if new.dropped else None

    def _count(self) -> Counts:
        if self._service is None:
            return Counts()
        spans = self._stage.spans()
        ports = range(self._service.metrics_base, self._service.metrics_base + self._service.count)
        samples = scrape(self._stage.http, *ports)
        rows = query(self._stage.database_url, "SELECT count(*) AS rows FROM chat_logs")
        return Counts(
            rows=rows[0]["rows"],
            requests=_requests(spans),
            chats=_chats(spans),
            attempts=spans.get("groq.attempt", 0),
            commits=spans.get("chat_logs.commit", 0),
            commits_by_metrics=int(total(samples, "chat_log_commit_seconds_count")),
            dropped=int(total(samples, "otel_spans_dropped_total")),
        )


def _requests(spans: Mapping[str, int]) -> int:
    return sum(count for name, count in spans.items() if name.startswith("POST "))


def _chats(spans: Mapping[str, int]) -> int:
    return sum(count for name, count in spans.items() if name.startswith("chat "))
