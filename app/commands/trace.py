"""`python -m app trace`: draws the trace of the last chat, or of an id from a row, a log line or a response."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from app.commands.output import fail, show
from app.core.config import Settings
from app.core.text import printable
from app.observability.trace_file import TRACE_FILE, read_spans

_Span = dict[str, Any]
_BAR_WIDTH = 40
_NAME_WIDTH = 34
_SHOWN = {
    "chat.outcome": "{}",
    "http.response.status_code": "{}",
    "error.type": "{}",
    "gen_ai.usage.output_tokens": "{} tokens",
    "chat.cost_usd": "${:.6f}",
    "chat_logs.rows": "rows: {}",
    "wait_s": "waited {:.3f} s",
    "silence_s": "{:.3f} s of silence",
}


def trace(settings: Settings, *, wanted: str | None) -> int:
    """`wanted` is an id of a trace or of a chat; without it, the last chat is shown."""
    path = settings.trace_file or TRACE_FILE
    try:
        spans = read_spans(path)
    except OSError as exc:
        return fail(f"cannot read traces from {path}: {exc.strerror}")
    chats = [span for span in spans if "chat.id" in span["attributes"]]
    found = [span for span in chats if wanted is None or wanted in (span["attributes"]["chat.id"], _trace_id(span))]
    if not found:
        if wanted is not None:
            return fail(f"{path} has no trace of {printable(wanted)}: it holds the last ones, of chats only")
        return fail(f"no traces in {path}: `make run` keeps them while OTEL_EXPORTER_OTLP_ENDPOINT is not set")
    chat = found[-1]
    own = [span for span in spans if _trace_id(span) == _trace_id(chat)]
    commits = [span for span in spans if _span_id(chat) in {link["context"]["span_id"] for link in span["links"]}]
    show(printable(f"trace {_trace_id(chat)}  chat {chat['attributes']['chat.id']}"), end="\n\n")
    show("\n".join(printable(line) for line in _picture([*own, *commits])))
    return 0


def _picture(spans: Sequence[_Span]) -> Iterable[str]:
    begin = min(_time(span["start_time"]) for span in spans)
    whole = max(_time(span["end_time"]) for span in spans) - begin or 1e-6
    for depth, item in _tree(spans):
        if "timestamp" in item:
            start = end = _time(item["timestamp"]) - begin
            label, length = "· " + item["name"], ""
        else:
            start, end = _time(item["start_time"]) - begin, _time(item["end_time"]) - begin
            label, length = item["name"], f"{(end - start) * 1000:.1f} ms"
        yield f"{'  ' * depth + label:<{_NAME_WIDTH}} {_bar(start, end, whole)} {length:>11}  {_shown(item)}".rstrip()


def _tree(spans: Sequence[_Span]) -> Iterable[tuple[int, _Span]]:
    """Spans and their depth: parents first, children and events by time. The commit is a trace of its own."""
    ids = {_span_id(span) for span in spans}

    def below(parent: str | None, depth: int) -> Iterable[tuple[int, _Span]]:
        children = [span for span in spans if _parent(span, ids) == parent]
        events = [event for span in spans if _span_id(span) == parent for event in span["events"]]
        for item in sorted([*children, *events], key=lambda item: str(item.get("start_time") or item["timestamp"])):
            yield depth, item
            if "context" in item:
                yield from below(_span_id(item), depth + 1)

    return below(None, 0)


def _parent(span: _Span, known: set[str]) -> str | None:
    """Return None if the parent is a span of the client, which is not in the file."""
    parent: str | None = span["parent_id"]
    return parent if parent in known else None


def _bar(start: float, end: float, whole: float) -> str:
    first = min(round(start / whole * _BAR_WIDTH), _BAR_WIDTH - 1)
    length = max(1, round((end - start) / whole * _BAR_WIDTH))
    mark = "█" if end > start else "╵"
    return f"│{' ' * first}{mark * min(length, _BAR_WIDTH - first)}".ljust(_BAR_WIDTH + 1) + "│"


def _shown(span: _Span) -> str:
    attributes = span["attributes"]
    return " · ".join(form.format(attributes[name]) for name, form in _SHOWN.items() if name in attributes)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _trace_id(span: _Span) -> str:
    return str(span["context"]["trace_id"]).removeprefix("0x")


def _span_id(span: _Span) -> str:
    return str(span["context"]["span_id"])
