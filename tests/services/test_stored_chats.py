"""The errors for a chat that has no row: it may still run, or it does not exist. `tests/api/` tests them over HTTP."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from app.core.chat_query import ChatPage, ChatQuery
from app.core.config import Settings
from app.core.errors import ChatNotFound, ChatRunning, ReadsExceeded, RowsUnavailable
from app.services.stored_chats import StoredChats

SETTINGS = Settings(_env_file=None, database_url="postgresql://db/chats", read_timeout_s=0.05)
LONGEST_S = 30 + 300 + 30 + 2 * 2 + 5
"""The longest body, chat, wait for the client, two commits and the outbox, by default."""
NOW = 1_800_000_000.0


class Rows:
    """No chat is stored; a read hangs for `delay_s`."""

    def __init__(self, delay_s: float = 0) -> None:
        self._delay_s = delay_s

    async def page(self, query: ChatQuery) -> ChatPage:
        raise AssertionError(query)

    async def find_id(self, name: str, *, client: str | None) -> UUID | None:
        return None

    async def find(self, chat_id: UUID, *, client: str | None, messages: bool) -> Mapping[str, Any] | None:
        await asyncio.sleep(self._delay_s)
        return None


def id_of_age(seconds: float) -> str:
    """A UUIDv7 whose request arrived so long ago."""
    return str(UUID(int=(int((NOW - seconds) * 1000) << 80) + (7 << 76) + (2 << 62)))


@pytest.mark.parametrize(
    ("age_s", "error"),
    [
        (0, ChatRunning),
        (LONGEST_S - 1, ChatRunning),
        (LONGEST_S + 1, ChatNotFound),
        (-4, ChatRunning),  # by the clock of another machine
        (-6, ChatNotFound),
    ],
)
async def test_a_chat_may_run_for_as_long_as_the_longest_one(
    monkeypatch: pytest.MonkeyPatch, age_s: float, error: type[Exception]
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    chats = StoredChats(SETTINGS, rows=Rows(), running=())
    with pytest.raises(error):
        await chats.find(id_of_age(age_s), client=None)


async def test_a_chat_of_this_worker_runs_whatever_its_id_says() -> None:
    name = id_of_age(0)
    with pytest.raises(ChatRunning):
        await StoredChats(SETTINGS, rows=Rows(), running={UUID(name)}).find(name, client=None)


async def test_a_database_that_does_not_answer_in_time_is_reported() -> None:
    with pytest.raises(RowsUnavailable, match=r"could not be read within 0\.05 s; try again") as caught:
        await StoredChats(SETTINGS, rows=Rows(60), running=()).find(id_of_age(0), client=None)
    assert caught.value.retry_after == 2


async def test_a_client_may_read_as_often_at_a_time_as_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    chats = StoredChats(SETTINGS, rows=Rows(delay_s=0.01), running=())
    most, chat_id = 4 * SETTINGS.read_connections, id_of_age(LONGEST_S + 1)
    reads = [chats.find(chat_id, client="alice") for _ in range(most + 1)]
    failures = await asyncio.gather(*reads, chats.find(chat_id, client="bob"), return_exceptions=True)
    assert [type(failure) for failure in failures] == [*[ChatNotFound] * most, ReadsExceeded, ChatNotFound]
    with pytest.raises(ChatNotFound):
        await chats.find(chat_id, client="alice")
