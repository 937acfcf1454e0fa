"""How many rows are replayed at once, and how soon after a failure."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.core.record import ChatRecord
from app.db import replay
from app.db.errors import DatabaseUnavailable
from app.db.outbox_file import OutboxFile
from tests.db.writers import GatedDatabase, fill_outbox, running_writer
from tests.support.records import record
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_INTERVAL_S", 0.01)


class FailsAt(GatedDatabase):
    """Stores rows, except in the tries with these numbers."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self._numbers = numbers

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        self.error = DatabaseUnavailable("too slow") if self.tries + 1 in self._numbers else None
        await super().insert(records)


async def replayed(rows: GatedDatabase, folder: Path, count: int) -> list[int]:
    """Leaves rows in the outbox, replays them, and returns the sizes of the batches."""
    fill_outbox(folder, [record(prompt=f"{number}") for number in range(count)])
    async with running_writer(rows, folder) as log:
        await until(lambda: len(rows.prompts) == count and not log.outbox_rows, "they are not replayed")
    assert sorted(rows.prompts, key=int) == [f"{number}" for number in range(count)]
    return [len(batch) for batch in rows.batches]


async def test_a_batch_has_a_bounded_number_of_rows(tmp_path: Path) -> None:
    assert await replayed(GatedDatabase(), tmp_path, 450) == [200, 200, 50]


async def test_a_batch_has_a_bounded_number_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_MAX_BYTES", 1)
    assert await replayed(GatedDatabase(), tmp_path, 3) == [1, 1, 1]


async def test_after_a_failure_batches_are_smaller_and_grow_again(tmp_path: Path) -> None:
    with capture_logs() as lines:
        assert await replayed(FailsAt(1, 2), tmp_path, 500) == [50, 100, 200, 150]
    assert [line["event"] for line in lines] == [*["chat_log.commit_failed"] * 2, "outbox.drained"]


async def test_outage_during_the_replay_neither_loses_nor_duplicates_rows(tmp_path: Path) -> None:
    assert sum(await replayed(FailsAt(2, 3), tmp_path, 450)) == 450


async def test_the_pause_after_failures_grows_and_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_MAX_PAUSE_S", 0.2)
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("it answers a ping, and stores nothing")
    fill_outbox(tmp_path, [record() for _ in range(1000)])
    async with running_writer(rows, tmp_path):
        began = time.monotonic()
        await until(lambda: rows.tries >= 10, "it does not try again")
        took_s = time.monotonic() - began
        assert took_s >= 0.9  # 0.01 + 0.02 + 0.04 + 0.08 + 0.16, and then 0.2 each
        rows.error = None
        await until(lambda: len(rows.prompts) == 1000, "they are not replayed")


async def test_after_a_bug_replaying_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next_rows, calls = OutboxFile.next_rows, itertools.count()

    def fail_once(*args: Any, **limits: Any) -> list[tuple[str, bytes]]:
        if next(calls) == 0:
            raise RuntimeError("a bug")
        return next_rows(*args, **limits)

    monkeypatch.setattr(OutboxFile, "next_rows", fail_once)
    with capture_logs() as lines:
        assert await replayed(GatedDatabase(), tmp_path, 3) == [3]
    assert [line["event"] for line in lines] == ["outbox.replay_failed", "outbox.drained"]
