"""What is too much, and what does not add up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.outcomes import REFUSALS, Outcome
from loadtests.endings.closing import Closings
from loadtests.endings.endings import Ending
from loadtests.endings.inside import Look
from tests.support.database import query

HELD = ("tasks", "fds", "sockets", "coroutines", "generators", "chats", "streams")
"""Of these there may be no more at the end than at the start; threads come with a pool, and stay."""

GROWTH = 0.1
"""What memory may grow by between the half and the end."""


@dataclass(frozen=True, slots=True)
class Row:
    """`asked_as` is what its client sent as `x-request-id`; `tokens` were taken from Groq."""

    id: str
    asked_as: str
    outcome: str
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run and what it left behind: the endings by what each was asked as, the looks by how many chats came before.

    `counted` is by outcome, `spans` are the ids of the chats that they are of, `upstream` counts connections.
    """

    asked: dict[str, Ending]
    looks: dict[int, Look]
    rows: Sequence[Row]
    counted: dict[str, int]
    spans: Sequence[str]
    gauges: dict[str, float]
    upstream: int
    closings: Closings

    @property
    def start(self) -> Look:
        return self.looks[min(self.looks)]

    @property
    def half(self) -> Look:
        return self.looks[min(self.looks, key=lambda chats: abs(2 * chats - max(self.looks)))]

    @property
    def end(self) -> Look:
        return self.looks[max(self.looks)]


def read_rows(database_url: str) -> list[Row]:
    rows = query(database_url, "SELECT id::text, client_request_id, outcome, completion_tokens FROM chat_logs")
    return [Row(row["id"], row["client_request_id"], row["outcome"], row["completion_tokens"] or 0) for row in rows]


def judge(evidence: Evidence, *, memory: bool = True) -> list[str]:
    """A sentence for each thing that is not as it should be."""
    return [*_leaks(evidence), *(_growth(evidence) if memory else []), *_counts(evidence), *_surprises(evidence)]


def _leaks(evidence: Evidence) -> list[str]:
    more = evidence.end.more_than(evidence.start, *HELD)
    gauges = [f"{value:g} {name}" for name, value in evidence.gauges.items() if value]
    upstream = [f"{evidence.upstream} connections to Groq"] if evidence.upstream else []
    return [f"left at the end: {thing}" for thing in (*more, *gauges, *upstream)]


def _growth(evidence: Evidence) -> list[str]:
    half, end = evidence.half.rss_mb, evidence.end.rss_mb
    return [f"memory grew from {half:.1f} MB to {end:.1f} MB"] if end > half * (1 + GROWTH) else []


def _counts(evidence: Evidence) -> list[str]:
    """Requests, rows and spans are counted apart."""
    asked, rows = len(evidence.asked), Counter(row.id for row in evidence.rows)
    refused = sum(evidence.counted.get(outcome, 0) for outcome in REFUSALS)
    found = []
    if sum(evidence.counted.values()) != asked:
        found.append(f"{asked} requests, and {sum(evidence.counted.values())} in the metrics")
    if len(evidence.rows) + refused != asked:
        found.append(f"{asked} requests are not {len(evidence.rows)} rows and {refused} refusals")
    if rows != Counter(evidence.spans):
        found.append(f"{len(evidence.rows)} rows, {len(evidence.spans)} spans, and not of the same chats")
    return found


def _surprises(evidence: Evidence) -> list[str]:
    """Chats that ended in another way than they were to."""
    rows = {row.asked_as: row.outcome for row in evidence.rows}
    found = Counter[str]()
    for name, ending in evidence.asked.items():
        outcome = rows.get(name, Outcome.INVALID_REQUEST)
        if outcome not in ending.outcomes:
            found[f"{ending.name} ended as {outcome}"] += 1
    return [f"{count} x {what}" for what, count in found.most_common()]
