"""How it is told: a line now and then, and a table at the end."""

from collections import Counter

from loadtests.chaos.diary import Diary, End, Kind
from loadtests.chaos.verdict import Evidence, Verdict, kept_in_outages

_NAMED = 5


def progress(diary: Diary, seconds: float) -> str:
    """A run so far, in one line."""
    struck = ", ".join(f"{count} x {kind}" for kind, count in sorted(diary.struck.items()))
    return f"{seconds:4.0f} s  {diary.streams} streams, {diary.receipts} receipts; {struck or 'no trouble yet'}"


def table(evidence: Evidence, verdict: Verdict) -> str:
    """What happened, and what did not fit together."""
    return "\n".join([*_lines(_facts(evidence)), "", *_lines(_findings(verdict))])


def _facts(evidence: Evidence) -> dict[str, object]:
    diary = evidence.diary
    ends, struck = diary.ends, diary.struck
    return {
        "streams": diary.streams,
        "receipts": ends[End.RECEIPT],
        "rows": f"{len(evidence.rows)}: {_counts(Counter(row.outcome for row in evidence.rows))}",
        "workers killed": f"{struck[Kind.KILL]} x -9, {struck[Kind.TERM]} x -TERM",
        "reloads": struck[Kind.RELOAD],
        "database away": f"{struck[Kind.STOP]} stops, {struck[Kind.HANG]} hangs",
        "receipts meanwhile": kept_in_outages(diary),
        "Groq's faults": _counts(diary.faults),
        "clients cut": f"{ends[End.LEFT]} hung up, {ends[End.STALLED]} stopped reading and were dropped",
        "ended with an error": f"{ends[End.ERROR]} events, {ends[End.FAILED]} statuses",
        "cut by kills": ends[End.CUT],
        "refused with 503": ends[End.REFUSED],
        "without an answer": ends[End.UNANSWERED],
        "spools at the end": f"{evidence.left_in_spool}, emptied by one more start" if evidence.left_in_spool else 0,
        "exit codes": ", ".join(map(str, evidence.exit_codes)),
    }


def _findings(verdict: Verdict) -> dict[str, object]:
    return {
        "lost": _some(verdict.lost),
        "duplicated": _some(verdict.duplicated),
        "different": _some(verdict.different),
        "rows unasked for": _some(verdict.unasked),
        "cut without a kill": _some(verdict.cut),
        "without an end": _some(verdict.hung),
        "stopped well": "no" if verdict.ended_badly else "yes",
    }


def _lines(cells: dict[str, object]) -> list[str]:
    return [f"  {name:<20} {value}" for name, value in cells.items()]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def _some(ids: list[str]) -> str:
    return " ".join([str(len(ids)), *ids[:_NAMED], *(["..."] if len(ids) > _NAMED else [])])
