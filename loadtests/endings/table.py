"""How it is told: a line for each stretch, and tables at the end."""

from collections import Counter, defaultdict
from statistics import median

from app.core.outcomes import Outcome
from loadtests.endings.closing import Closings
from loadtests.endings.inside import Look
from loadtests.endings.verdict import Evidence

_COLUMNS = {"rss_mb": "RSS MB", **{name: name for name in Look.__dataclass_fields__ if name != "rss_mb"}}


def progress(chats: int, seconds: float, look: Look) -> str:
    """A run so far, in one line."""
    return (
        f"{seconds:4.0f} s  {chats:6} chats: {look.rss_mb:.1f} MB, {look.fds} fds, {look.sockets} sockets, "
        f"{look.threads} threads, {look.tasks} tasks"
    )


def table(evidence: Evidence, problems: list[str]) -> str:
    """What happened, and what is wrong with it."""
    wrong = [f"  {problem}" for problem in problems] or ["  nothing leaked, and everything adds up"]
    parts = [_by_outcome(evidence), _looks(evidence), _closings(evidence.closings), [*_sums(evidence), "", *wrong]]
    return "\n\n".join("\n".join(part) for part in parts)


def _by_outcome(evidence: Evidence) -> list[str]:
    rows = {row.asked_as: row.outcome for row in evidence.rows}
    endings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, ending in evidence.asked.items():
        endings[rows.get(name, Outcome.INVALID_REQUEST)][ending.name] += 1
    most_first = sorted(endings.items(), key=lambda each: -each[1].total())
    return [f"  {outcome:<22} {names.total():6}  {_counts(names)}" for outcome, names in most_first]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def _looks(evidence: Evidence) -> list[str]:
    shown = {"start": evidence.start, "half": evidence.half, "end": evidence.end}
    head = f"  {'':<8}" + "".join(f"{column:>11}" for column in _COLUMNS.values())
    return [head] + [
        f"  {when:<8}" + "".join(f"{_cell(getattr(look, name)):>11}" for name in _COLUMNS)
        for when, look in shown.items()
    ]


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _closings(closings: Closings) -> list[str]:
    lines = [
        f"  {name:<16} median {median(each) * 1000:4.0f} ms, worst {max(each) * 1000:4.0f} ms, of {len(each)}"
        for name, each in closings.items()
    ]
    return ["  from the client's close() until Groq's connection is gone:", *lines]


def _sums(evidence: Evidence) -> list[str]:
    rows, requests = len(evidence.rows), len(evidence.asked)
    return [f"  {requests} requests, {rows} rows, {requests - rows} without, {len(evidence.spans)} spans"]
