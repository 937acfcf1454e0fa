"""The comparison: every receipt against the rows, and every row against the questions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.outcomes import Outcome
from loadtests.chaos.diary import Chat, Diary, End, Kind
from tests.support.database import query


@dataclass(frozen=True, slots=True)
class Row:
    """What the comparison needs of one; `asked_as` is what its client sent as `x-request-id`."""

    id: str
    asked_as: str | None
    outcome: str
    response: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run and what it left behind. `left_in_spool` and `never_unspooled` count files."""

    diary: Diary
    rows: Sequence[Row]
    exit_codes: Sequence[int] = (0,)
    left_in_spool: int = 0
    never_unspooled: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Ids of chats that broke the promise, each list for one way to break it; all are empty after a good run."""

    lost: list[str]
    """A receipt without a row."""
    duplicated: list[str]
    """More rows than one for an id, or for a question that was asked once."""
    different: list[str]
    """A receipt whose row is not `completed`, or has another text than the client was sent."""
    unasked: list[str]
    """A row that no client asked for."""
    cut: list[str]
    """An answer that broke off without a word while no worker was killed."""
    hung: list[str]
    """A chat that nobody ended."""
    ended_badly: bool
    """An exit code that is not 0, or a spool that did not empty."""

    @property
    def holds(self) -> bool:
        return not any(vars(self).values())


def read_rows(database_url: str) -> list[Row]:
    """All rows, as the table has them: what its index says of duplicates is not asked."""
    rows = query(database_url, "SELECT id::text, client_request_id, outcome, response FROM chat_logs")
    return [Row(row["id"], row["client_request_id"], row["outcome"], row["response"]) for row in rows]


def judge(evidence: Evidence) -> Verdict:
    """What does not fit together."""
    diary, rows = evidence.diary, evidence.rows
    receipts = {chat.id: chat.text for chat in diary.chats if chat.receipt and chat.id}
    asked = {chat.asked_as for chat in diary.chats}
    return Verdict(
        lost=sorted(receipts.keys() - {row.id for row in rows}),
        duplicated=_repeated([row.id for row in rows]) + _repeated([row.asked_as or "" for row in rows]),
        different=[row.id for row in rows if row.id in receipts and not _agrees(row, receipts[row.id])],
        unasked=[row.id for row in rows if row.asked_as not in asked],
        cut=[chat.id or chat.asked_as for chat in diary.chats if chat.end is End.CUT and not _killed(chat, diary)],
        hung=[chat.id or chat.asked_as for chat in diary.chats if chat.end is End.HUNG],
        ended_badly=any(evidence.exit_codes) or evidence.never_unspooled > 0,
    )


def kept_in_outages(diary: Diary) -> int:
    """Receipts that came while there was no database: their rows went another way."""
    outages = [incident for incident in diary.incidents if incident.kind in (Kind.STOP, Kind.HANG)]
    margin_s = 0.5  # for those on their way when it left
    return sum(
        any(outage.began + margin_s < chat.ended < outage.ended for outage in outages)
        for chat in diary.chats
        if chat.receipt and not chat.slow
    )


def _repeated(names: list[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _agrees(row: Row, text: str) -> bool:
    return row.outcome == Outcome.COMPLETED and row.response == text


def _killed(chat: Chat, diary: Diary) -> bool:
    """Whether a worker died without a chance to say a word while the chat ran."""
    kills = [incident.began for incident in diary.incidents if incident.kind is Kind.KILL]
    return any(chat.began <= kill <= chat.ended for kill in kills)
