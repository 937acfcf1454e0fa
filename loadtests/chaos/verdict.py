"""Every receipt compared with the rows, every row and every answer with the questions; and the report."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.outcomes import Outcome
from loadtests.chaos.history import Chat, End, History, Kind
from loadtests.harness.rows import Row, answers_another

_NAMED = 5
_ON_THE_WAY_S = 0.5

Broken = dict[str, list[str]]
"""Ids of chats, and what else broke a promise, for each way to break it; all are empty after a good run."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run and what it left behind. `crossed` are questions that may have crossed bytes on an idle connection."""

    history: History
    rows: Sequence[Row]
    exit_codes: Sequence[int] = (0,)
    left_in_outbox: int = 0
    never_replayed: int = 0
    idle_bytes: Counter[str] = field(default_factory=Counter)
    crossed: Collection[str] = ()


def judge(evidence: Evidence) -> Broken:
    """What does not fit together."""
    history, rows = evidence.history, evidence.rows
    receipts = {chat.id: chat.text for chat in history.chats if chat.receipt and chat.id}
    sent = {chat.client_request_id for chat in history.chats}
    return {
        "lost": sorted(receipts.keys() - {row.id for row in rows}),
        "duplicated": _repeated([row.id for row in rows]) + _repeated([row.client_request_id or "" for row in rows]),
        "different": [
            row.id
            for row in rows
            if row.id in receipts and (row.outcome, row.response) != (Outcome.COMPLETED, receipts[row.id])
        ],
        "another's answer": _another(evidence),
        "rows unasked for": [row.id for row in rows if row.client_request_id not in sent],
        "cut without a kill": [
            _id(chat) for chat in history.chats if chat.end is End.CUT and not _killed(chat, history)
        ],
        "bugs of the service": [row.id for row in rows if row.outcome == Outcome.INTERNAL_ERROR],
        "without an end": [_id(chat) for chat in history.chats if chat.end is End.HUNG],
        "exit codes": [str(code) for code in evidence.exit_codes if code],
        "never replayed": ["the outbox"] * bool(evidence.never_replayed),
    }


def report(evidence: Evidence, broken: Broken) -> str:
    """What happened, and what did not fit together."""
    history = evidence.history
    ends, happened, left = history.ends, history.happened, evidence.left_in_outbox
    facts = {
        "streams": history.streams,
        "receipts": ends[End.RECEIPT],
        "rows": f"{len(evidence.rows)}: {_counts(Counter(row.outcome for row in evidence.rows))}",
        "workers": f"killed {happened[Kind.KILL]} x -9, {happened[Kind.TERM]} x -TERM; {happened[Kind.RELOAD]} reloads",
        "database outages": f"{happened[Kind.STOP]} stops, {happened[Kind.HANG]} hangs",
        "receipts meanwhile": receipts_in_outages(history),
        "Groq's faults": _counts(history.faults),
        "bytes when idle": f"{_counts(evidence.idle_bytes)}; {len(evidence.crossed)} crossed a request",
        "clients cut": f"{ends[End.LEFT]} disconnected, {ends[End.STALLED]} stopped reading and were disconnected",
        "ended with an error": f"{ends[End.ERROR]} events, {ends[End.FAILED]} statuses",
        "cut by kills": ends[End.CUT],
        "not accepted": f"{ends[End.REFUSED]} with 503, {ends[End.UNANSWERED]} without an answer",
        "outbox at the end": f"{left}, emptied by one more start" if left else 0,
    }
    return "\n".join([*_lines(facts), "", *_lines({name: _some(ids) for name, ids in broken.items()})])


def progress(history: History, seconds: float) -> str:
    """A run so far, in one line."""
    happened = ", ".join(f"{count} x {kind}" for kind, count in sorted(history.happened.items()))
    receipts = history.ends[End.RECEIPT]
    return f"{seconds:4.0f} s  {history.streams} streams, {receipts} receipts; {happened or 'no incident yet'}"


def receipts_in_outages(history: History) -> int:
    """Receipts that came while there was no database: their rows were in the outbox."""
    outages = history.of(Kind.STOP, Kind.HANG)
    return sum(
        any(outage.began + _ON_THE_WAY_S < chat.ended < outage.ended for outage in outages)
        for chat in history.chats
        if chat.receipt and not chat.slow
    )


def _another(evidence: Evidence) -> list[str]:
    """Chats whose text, as read or as stored, quotes another question than their own."""
    chats = [(_id(chat), chat.client_request_id, chat.text, chat.receipt) for chat in evidence.history.chats]
    rows = [(row.id, row.client_request_id, row.response, row.outcome == Outcome.COMPLETED) for row in evidence.rows]
    wrong = {
        name
        for name, client_request_id, text, complete in (*chats, *rows)
        if client_request_id not in evidence.crossed and answers_another(text, client_request_id, complete=complete)
    }
    return sorted(wrong)


def _id(chat: Chat) -> str:
    return chat.id or chat.client_request_id


def _repeated(names: list[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _killed(chat: Chat, history: History) -> bool:
    """Whether a worker was killed with -9 while the chat ran."""
    return any(chat.began <= kill.began <= chat.ended for kill in history.of(Kind.KILL))


def _lines(cells: Mapping[str, object]) -> list[str]:
    return [f"  {name:<20} {value}" for name, value in cells.items()]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def _some(ids: list[str]) -> str:
    return " ".join([str(len(ids)), *ids[:_NAMED], *(["..."] if len(ids) > _NAMED else [])])
