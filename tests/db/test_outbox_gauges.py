"""The numbers of an outbox that metrics show."""

from pathlib import Path

import pytest
import time_machine
from structlog.testing import capture_logs

from app.db.outbox import OutboxUnavailable, outbox_gauges
from tests.db.writers import outbox
from tests.support.records import record


def values(disk: object) -> dict[str, float]:
    return {name: read() for name, read in outbox_gauges(disk).items()}  # type: ignore[arg-type]


async def test_they_show_what_the_file_has(tmp_path: Path) -> None:
    (tmp_path / "damaged-1.db").touch()
    row = record()
    async with outbox(tmp_path, max_bytes=10**6) as disk:
        await disk.append([row, record()])
        await disk.reject(record(), ValueError("no"))
        await disk.refresh_status()
        with time_machine.travel(row.created_at.timestamp() + 90, tick=False):
            shown = values(disk)
        assert shown == {
            "rows": 2, "rejected_rows": 1, "bytes": disk.used_bytes, "limit_bytes": 10**6, "age_s": 90,
            "damaged_files": 1,
        }  # fmt: skip
        assert shown["bytes"] > 0
        with time_machine.travel(row.created_at.timestamp() - 90, tick=False):  # another machine's clock is ahead
            assert values(disk)["age_s"] == 0


async def test_an_empty_outbox_has_no_age(tmp_path: Path) -> None:
    async with outbox(tmp_path) as disk:
        assert (values(disk)["age_s"], values(disk)["rows"]) == (0, 0)


def test_without_an_outbox_there_are_none() -> None:
    assert outbox_gauges(None) == {}


async def test_a_rejected_row_is_logged_with_its_id(tmp_path: Path) -> None:
    row = record()
    async with outbox(tmp_path) as disk:
        with capture_logs() as lines:
            await disk.reject(row, ValueError("no"))
            await disk.reject(str(row.id), ValueError("no again"))
    assert [(line["event"], line["row"], line["error"]) for line in lines] == [
        ("chat_log.row_rejected", str(row.id), "no"),
        ("chat_log.row_rejected", str(row.id), "no again"),
    ]


async def test_a_disk_that_refuses_is_logged_once(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    folder.touch()
    with capture_logs() as lines:
        async with outbox(folder) as disk:
            assert not disk.available
            with pytest.raises(OutboxUnavailable):
                await disk.append([record()])
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("outbox.unavailable", "error")
    assert line["error"].startswith("FileExistsError: ")
