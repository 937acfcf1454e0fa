"""The report as a page: what became of the promises, and plots of what a reader feels, above locust's own report.

locust's plots mix everything that it counted into one line; ours tell the first token from the others.
"""

from collections.abc import Sequence
from html import escape

from locust.stats import RequestStats

from loadtests.people.ending import Side
from loadtests.people.objectives import Finding, Objectives
from loadtests.people.plots import plot
from loadtests.people.table import chats_table, findings_table
from loadtests.people.timeline import Timeline

_BODY = '<div id="root"'
_STYLE = """<style>
.people { font: 14px/1.5 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 24px auto 8px; padding: 0 24px }
.people h1 { font-size: 24px; margin: 0 } .people h1 + div { margin: 4px 0 16px; color: #555 }
.people h2 { font-size: 17px; margin: 28px 0 8px }
.people table { border-collapse: collapse; min-width: 60% } .people td, .people th { padding: 4px 14px 4px 0 }
.people td + td, .people th + th { text-align: right; font-variant-numeric: tabular-nums }
.people th { font-weight: 600; text-align: left } .people tr { border-bottom: 1px solid #e4e4e4 }
.people .kept { color: #1b7a3d; font-weight: 600 } .people .missed, .people .not { color: #c62828; font-weight: 600 }
.people .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 20px 32px }
.people .plot { width: 100%; height: auto; font-size: 11px; fill: #555 }
.people .plot .title { font-weight: 600; fill: #222 }
.people .plot .grid { stroke: #e4e4e4 } .people p { white-space: pre-wrap; color: #8a4b00 }
</style>"""


def page(
    theirs: str,
    *,
    title: str,
    about: str,
    stats: RequestStats,
    found: Sequence[Finding],
    timeline: Timeline,
    promised: Objectives,
    remarks: Sequence[str],
) -> str:
    """Raises ValueError if locust's page is not what it was."""
    before, body, after = theirs.partition(_BODY)
    if not body:
        raise ValueError(f"locust's report has no {_BODY}")
    parts = [
        f"<h1>{escape(title)}</h1><div>{escape(about)}</div>",
        _table(*findings_table(found)),
        *(f"<p>{escape(remark)}</p>" for remark in remarks),
        "<h2>How chats ended, and how long they took</h2>",
        _table(*chats_table(stats)),
        f'<h2>While it ran</h2><div class="plots">{"".join(_plots(timeline, promised))}</div>',
        "<h2>locust's own report</h2><div>“Aggregated” and the plots are of whole chats, however they ended.</div>",
    ]
    ours = f'{_STYLE}<section class="people">{"".join(parts)}</section>'
    before = before.replace("<title>Locust</title>", f"<title>{escape(title)}</title>")
    return f"{before}{ours}{body}{after}"


def _table(columns: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = ["".join(_cell(cell) for cell in row) for row in body]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(text: str) -> str:
    verdict = text.partition(" ")[0]
    kind = f' class="{verdict}"' if text in ("kept", "missed", "not measured") else ""
    return f"<td{kind}>{escape(text)}</td>"


def _plots(timeline: Timeline, promised: Objectives) -> list[str]:
    steps = timeline.steps
    at = [step.until_s for step in steps]
    percentiles = {f"p{p}": p for p in (50, 95)}
    return [
        plot("Users", "", at, {"users": [step.users for step in steps]}),
        plot("Chats that ended, a second", "", at, {side: [step.chats_per_s[side] for step in steps] for side in Side}),
        plot(
            "Time to first token",
            "ms",
            at,
            {name: [step.first_token_ms[p] for step in steps] for name, p in percentiles.items()},
            promised.first_token_s * 1000,
        ),
        plot(
            "Time per output token",
            "ms",
            at,
            {name: [step.per_token_ms[p] for step in steps] for name, p in percentiles.items()},
            promised.per_token_s * 1000,
        ),
    ]
