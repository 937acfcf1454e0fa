"""The comparison can fail: each way to break the promise is found, and what a kill explains is not held against it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.config import Settings
from app.core.record import ChatRecord
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from loadtests.chaos.diary import Chat, Diary, End, Incident, Kind
from loadtests.chaos.table import table
from loadtests.chaos.verdict import Evidence, Row, Verdict, judge, kept_in_outages, read_rows
from tests.support.database import execute
from tests.support.records import record
from tests.support.shared import SharedResources

WELL = Verdict(lost=[], duplicated=[], different=[], unasked=[], cut=[], hung=[], ended_badly=False)
HELLO, WORLD = Row("a", "chaos-0", "completed", "Hello"), Row("b", "chaos-1", "completed", "World")
LEFT = Row("c", "chaos-2", "client_disconnected", "Hello")
ROWS = [HELLO, WORLD, LEFT]


def diary(*more: Chat) -> Diary:
    """Two receipts, a client that hung up, and more."""
    return Diary(
        [
            Chat("chaos-0", 1, 2, End.RECEIPT, id="a", text="Hello"),
            Chat("chaos-1", 1, 3, End.RECEIPT, id="b", text="World"),
            Chat("chaos-2", 2, 3, End.LEFT, id="c", text="Hel"),
            *more,
        ]
    )


def test_what_fits_together_is_well() -> None:
    assert judge(Evidence(diary=diary(), rows=ROWS)) == WELL
    assert WELL.holds


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([HELLO, LEFT], replace(WELL, lost=["b"])),
        ([HELLO, WORLD], WELL),  # the client that hung up was promised nothing
        ([*ROWS, HELLO], replace(WELL, duplicated=["a", "chaos-0"])),
        ([*ROWS, replace(HELLO, id="d")], replace(WELL, duplicated=["chaos-0"])),
        ([HELLO, replace(WORLD, response="World!"), LEFT], replace(WELL, different=["b"])),
        ([HELLO, replace(WORLD, outcome="client_disconnected"), LEFT], replace(WELL, different=["b"])),
        ([*ROWS, Row("d", None, "completed", "Hi")], replace(WELL, unasked=["d"])),
    ],
)
def test_rows_that_do_not_fit_are_named(rows: list[Row], broken: Verdict) -> None:
    evidence = Evidence(diary=diary(), rows=rows)
    assert judge(evidence) == broken
    assert broken.holds is (broken == WELL)
    assert table(evidence, broken)


def test_only_a_kill_while_it_ran_explains_an_answer_that_broke_off() -> None:
    cut = Evidence(diary=diary(Chat("chaos-3", 5, 7, End.CUT, id="d")), rows=ROWS)
    for kind, began in [(Kind.KILL, 4), (Kind.KILL, 8), (Kind.TERM, 6)]:
        cut.diary.incidents.append(Incident(kind, began, began + 2))
    assert judge(cut) == replace(WELL, cut=["d"])
    cut.diary.incidents.append(Incident(Kind.KILL, 6, 6))
    assert judge(cut) == WELL


def test_a_chat_without_an_end_an_exit_code_and_a_full_spool_break_the_promise_too() -> None:
    hung = diary(Chat("chaos-3", 5, 65, End.HUNG))
    assert judge(Evidence(diary=hung, rows=ROWS)) == replace(WELL, hung=["chaos-3"])
    assert judge(Evidence(diary=diary(), rows=ROWS, exit_codes=[0, 1])) == replace(WELL, ended_badly=True)
    assert judge(Evidence(diary=diary(), rows=ROWS, left_in_spool=1)) == WELL
    assert judge(Evidence(diary=diary(), rows=ROWS, never_unspooled=1)) == replace(WELL, ended_badly=True)


def test_receipts_that_came_without_a_database_are_counted() -> None:
    kept = diary(
        Chat("chaos-3", 9, 11, End.RECEIPT, id="d"),
        Chat("chaos-4", 9, 11, End.RECEIPT, id="e", slow=True),  # nobody knows when it was sent
        Chat("chaos-5", 9, 11, End.ERROR, id="f"),
    )
    kept.incidents.append(Incident(Kind.STOP, 10, 12))
    assert kept_in_outages(kept) == 1


def test_a_row_that_is_deleted_or_changed_in_the_database_is_missed(shared: SharedResources, tmp_path: Path) -> None:
    url = shared.migrated_database("postgres", tmp_path)
    records = [record(client_request_id=f"chaos-{number}", response=f"Hello {number}") for number in range(3)]
    asyncio.run(insert(url, records))
    _, deleted, changed = ids = [str(each.id) for each in records]
    chats = [Chat(f"chaos-{n}", 1, 2, End.RECEIPT, id=each, text=f"Hello {n}") for n, each in enumerate(ids)]
    three = Diary(chats)
    assert judge(Evidence(diary=three, rows=read_rows(url))) == WELL
    execute(url, f"DELETE FROM chat_logs WHERE id = '{deleted}'")
    execute(url, f"UPDATE chat_logs SET response = 'Hi' WHERE id = '{changed}'")
    verdict = judge(Evidence(diary=three, rows=read_rows(url)))
    assert verdict == replace(WELL, lost=[deleted], different=[changed])


async def insert(url: str, records: list[ChatRecord]) -> None:
    engine = create_engine(Settings(_env_file=None, database_url=url))
    await ChatLogRepository(engine).insert(records)
    await engine.dispose()
