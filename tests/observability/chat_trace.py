"""The spans of one chat, as a collector has received them."""

from tests.observability.conftest import Observed
from tests.support.otlp import ReceivedSpan


def spans_of(observed: Observed, chat_id: str) -> dict[str, list[ReceivedSpan]]:
    """The spans of a chat's trace by their kind of name, when all of it has come."""
    (chat,) = observed.collector.wait_for(lambda span: span.attributes.get("chat.id") == chat_id)
    trace = observed.collector.trace(chat.trace_id, "POST ", "chat ", "groq.attempt")
    named: dict[str, list[ReceivedSpan]] = {}
    for span in trace:
        named.setdefault(span.name.partition(" ")[0], []).append(span)
    return named
