"""Commits within a time limit, over rows that the test lets through."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.core.record import ChatRecord
from app.db.commits import Commits
from app.db.errors import DatabaseUnavailable, RowsRejected, commit_error
from tests.db.events import RecordedEvents
from tests.db.writers import GatedDatabase
from tests.support.records import record


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


def is_healthy(commits: Commits) -> bool:
    return commits.database.healthy


def test_an_invalid_certificate_is_no_fault_of_the_rows() -> None:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    assert isinstance(error, ValueError)
    assert not isinstance(commit_error(error), RowsRejected)


async def test_a_commit_is_reported_and_counted() -> None:
    rows, events = GatedDatabase(), RecordedEvents()
    commits = Commits(rows, timeout_s=2, events=events)
    await commits.commit([record(), record()])
    await commits.commit([record()], live=False)
    assert (events.commits, commits.made) == ([(2, None), (1, None)], 2)
    assert is_healthy(commits)


@pytest.mark.parametrize(
    ("error", "raised", "failure", "healthy"),
    [
        (RowsRejected("for its data"), RowsRejected, "rejected", True),
        (DatabaseUnavailable("away"), DatabaseUnavailable, "unavailable", False),
        (ValueError("a bug"), DatabaseUnavailable, "unavailable", False),
    ],
)
async def test_a_failed_commit_is_reported_and_logged(
    error: Exception, raised: type[Exception], failure: str, *, healthy: bool
) -> None:
    rows, events = GatedDatabase(), RecordedEvents()
    rows.error = error
    commits = Commits(rows, timeout_s=2, events=events)
    with capture_logs() as lines, pytest.raises(raised, match=str(error)) as caught:
        await commits.commit([record(), record()])
    assert error in (caught.value, caught.value.__cause__)
    assert (events.commits, commits.made) == ([(2, failure)], 0)
    assert is_healthy(commits) is healthy
    (line,) = [line for line in lines if line["event"] == "chat_log.commit_failed"]
    assert (line["rows"], line["error"]) == (2, f"{type(error).__name__}: {error}")
    await commits.aclose()


async def test_a_commit_that_is_too_slow_is_cancelled_at_its_limit() -> None:
    rows, events = GatedDatabase(), RecordedEvents()
    rows.gate.clear()
    commits = Commits(rows, timeout_s=2, events=events)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(DatabaseUnavailable, match="too long"):
        await commits.commit([record()])
    assert loop.time() - began == pytest.approx(2, abs=0.01)
    assert (events.commits, is_healthy(commits)) == ([(1, "timeout")], False)
    rows.gate.set()
    await asyncio.sleep(60)
    assert (rows.batches, is_healthy(commits)) == ([], True)


async def test_rows_from_the_outbox_do_not_change_whether_the_database_is_healthy() -> None:
    rows = GatedDatabase()
    commits = Commits(rows, timeout_s=2, events=RecordedEvents())
    rows.error = DatabaseUnavailable("for this row")
    with pytest.raises(DatabaseUnavailable):
        await commits.commit([record()], live=False)
    assert is_healthy(commits)


async def test_a_live_commit_ends_the_growth_of_pauses() -> None:
    """A commit of rows from the outbox does not: the database may take those and refuse larger ones."""
    rows = GatedDatabase()
    commits = Commits(rows, timeout_s=2, events=RecordedEvents())
    loop = asyncio.get_running_loop()

    async def recovery_s() -> float:
        rows.error = DatabaseUnavailable("away")
        began = loop.time()
        with pytest.raises(DatabaseUnavailable):
            await commits.commit([record()])
        rows.error = None
        while not commits.database.healthy:
            await asyncio.sleep(0.01)
        return round(loop.time() - began, 1)

    assert [await recovery_s() for _ in range(2)] == [0.5, 1]
    await commits.commit([record()], live=False)
    assert await recovery_s() == 2
    await commits.commit([record()])
    assert await recovery_s() == 0.5


async def test_a_commit_whose_caller_is_cancelled_is_cancelled() -> None:
    rows, events = GatedDatabase(), RecordedEvents()
    rows.gate.clear()
    commits = Commits(rows, timeout_s=2, events=events)
    committing = asyncio.create_task(commits.commit([record()]))
    await asyncio.sleep(0.1)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    rows.gate.set()
    await asyncio.sleep(1)
    assert (rows.tries, rows.batches) == (1, [])


class SlowToGiveUp(GatedDatabase):
    """A driver that closes its connection before it gives up."""

    def __init__(self, closes_in_s: float) -> None:
        super().__init__()
        self.closed = False
        self._closes_in_s = closes_in_s

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends = asyncio.get_running_loop().time() + self._closes_in_s
            while (left_s := ends - asyncio.get_running_loop().time()) > 0:
                with suppress(asyncio.CancelledError):  # it is cancelled again and again
                    await asyncio.sleep(left_s)
            self.closed = True


@pytest.mark.parametrize(("closes_in_s", "takes_s"), [(1, 1), (60, 2)])
async def test_closing_waits_for_cancelled_commits_within_the_limit(closes_in_s: float, takes_s: float) -> None:
    rows = SlowToGiveUp(closes_in_s)
    commits = Commits(rows, timeout_s=2, events=RecordedEvents())
    with pytest.raises(DatabaseUnavailable):
        await commits.commit([record()])
    loop = asyncio.get_running_loop()
    began = loop.time()
    await commits.aclose()
    assert loop.time() - began == pytest.approx(takes_s, abs=0.01)
    assert rows.closed is (closes_in_s < takes_s + 0.5)
    await asyncio.sleep(60)
