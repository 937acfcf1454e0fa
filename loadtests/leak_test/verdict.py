"""What is left behind, what does not add up, and the report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from app.core.outcomes import REFUSALS, Outcome
from loadtests.harness.rows import Row, answers_another
from loadtests.leak_test.endings import Ending

HELD = ("tasks", "fds", "sockets", "coroutines", "generators", "chats", "streams")
"""Of these there may be no more at the end than at the start; threads come with a pool, and stay."""

GROWTH = 0.1
"""What memory may grow by between the half and the end."""

Holds = dict[str, float]
"""What it holds at a time. `coroutines` and `generators` are objects of these types, `chats` and `streams` our own."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run and what it left behind: endings by what was requested, what the worker held after each stretch.

    `counted` is by outcome, `spans` are the ids of the chats that they are of, `upstream` counts connections.
    """

    requested: dict[str, Ending]
    holds: list[Holds]
    rows: Sequence[Row]
    counted: Counter[str]
    spans: Sequence[str]
    gauges: dict[str, float]
    upstream: int
    closings: dict[str, list[float]]


def more(now: Holds, before: Holds) -> list[str]:
    """What there may be no more of, and is."""
    return [f"{now[name]:g} {name}, {before[name]:g} before" for name in HELD if now[name] > before[name]]


def judge(evidence: Evidence, *, memory: bool = True) -> list[str]:
    """A sentence for each thing that is not as it should be."""
    first, half, last = evidence.holds[0], evidence.holds[(len(evidence.holds) - 1) // 2], evidence.holds[-1]
    left = more(last, first)
    left += [f"{value:g} {name}" for name, value in evidence.gauges.items() if value]
    left += [f"{evidence.upstream} connections to Groq"] if evidence.upstream else []
    grown = memory and last["MB"] > half["MB"] * (1 + GROWTH)
    found = [f"left at the end: {each}" for each in left]
    found += [f"memory grew from {half['MB']:.1f} MB to {last['MB']:.1f} MB"] if grown else []
    return [*found, *_miscounted(evidence), *_unexpected(evidence)]


def _miscounted(evidence: Evidence) -> list[str]:
    """Requests, rows and spans are counted independently of each other."""
    requested, rows, counted = len(evidence.requested), len(evidence.rows), evidence.counted.total()
    refused = sum(evidence.counted.get(outcome, 0) for outcome in REFUSALS)
    found = []
    if counted != requested:
        found.append(f"{requested} requests, and {counted} in the metrics")
    if rows + refused != requested:
        found.append(f"{requested} requests are not {rows} rows and {refused} refusals")
    if Counter(row.id for row in evidence.rows) != Counter(evidence.spans):
        found.append(f"{rows} rows, {len(evidence.spans)} spans, and not of the same chats")
    return found


def _unexpected(evidence: Evidence) -> list[str]:
    """Chats that ended in another way than they had to, or have another chat's answer."""
    rows = {row.client_request_id: row for row in evidence.rows}
    found = Counter[str]()
    for name, ending in evidence.requested.items():
        outcome = rows[name].outcome if name in rows else Outcome.INVALID_REQUEST
        if outcome not in ending.outcomes:
            found[f"{ending.name} ended as {outcome}"] += 1
        if name in rows and answers_another(rows[name].response, name, complete=False):
            found[f"{ending.name} with another's answer"] += 1
    return [f"{count} x {what}" for what, count in found.most_common()]


def report(evidence: Evidence, problems: list[str]) -> str:
    """What happened, and what is wrong with it."""
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in evidence.counted.most_common())
    lines = [f"  {outcomes}", "", "  " + "".join(f"{name:>11}" for name in evidence.holds[0])]
    lines += ["  " + "".join(f"{each:>11.4g}" for each in holds.values()) for holds in evidence.holds]
    lines += ["", "  from the client's close() until Groq's connection is closed:"]
    for name, seconds in evidence.closings.items():
        ms = [each * 1000 for each in seconds]
        lines.append(f"  {name:<16} median {median(ms):4.0f} ms, worst {max(ms):4.0f} ms, of {len(ms)}")
    requests, rows = len(evidence.requested), len(evidence.rows)
    lines += ["", f"  {requests} requests, {rows} rows, {requests - rows} without, {len(evidence.spans)} spans", ""]
    return "\n".join(lines + [f"  {each}" for each in problems or ["nothing leaked, and everything adds up"]])
