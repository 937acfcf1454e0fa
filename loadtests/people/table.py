"""How it is told on a terminal: what became of the chats, how long they took, and what of the promises is kept."""

from collections.abc import Sequence

from locust.stats import RequestStats, StatsEntry

from loadtests.people import rows
from loadtests.people.objectives import Finding

_PERCENTILES = (50, 95, 99)
BUSY_PERCENT = 80
"""Of a core: a process that is busier keeps its users waiting for itself."""


def chats_table(stats: RequestStats) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; times are in milliseconds."""
    ends = list(rows.chats(stats))
    total = sum(entry.num_requests for entry in ends)
    body = [[*_named(entry), f"{100 * entry.num_requests / total:.1f} %", *_percentiles(entry)] for entry in ends]
    times = [[*_named(entry), "", *_percentiles(entry)] for entry in rows.times(stats)]
    return ["", "counts as", "count", "share", "p50 ms", "p95 ms", "p99 ms", "most ms"], [*body, *times]


def findings_table(found: Sequence[Finding]) -> tuple[list[str], list[list[str]]]:
    body = [[each.what, f"{100 * each.promised:g} %", _ratio(each), f"of {each.all}", each.verdict] for each in found]
    return ["", "promised", "measured", "", ""], body


def busy(percent: float) -> str | None:
    """What to think of the figures if locust had too much to do."""
    if percent < BUSY_PERCENT:
        return None
    return (
        f"locust itself took {percent:.0f} % of a core at times: part of these times is its own. "
        "Take fewer users, or more PROCESSES."
    )


def _named(entry: StatsEntry) -> list[str]:
    return [entry.name, entry.method, str(entry.num_requests)]


def _percentiles(entry: StatsEntry) -> list[str]:
    if not entry.num_requests:
        return ["-"] * (len(_PERCENTILES) + 1)
    most = entry.max_response_time  # the percentiles are rounded up
    seen = [min(most, entry.get_response_time_percentile(percent / 100)) for percent in _PERCENTILES]
    return [_number(each) for each in (*seen, most)]


def _number(time_ms: float) -> str:
    return f"{time_ms:.0f}" if time_ms >= 100 else f"{time_ms:.3g}"


def _ratio(finding: Finding) -> str:
    return "-" if finding.measured is None else f"{100 * finding.measured:.4g} %"
