"""The spans of one chat, as a collector has received them."""

from app.observability.conventions import ADMISSION_SPAN
from tests.observability.conftest import Observed
from tests.support.otlp import ReceivedSpan


def spans_of(observed: Observed, chat_id: str) -> dict[str, list[ReceivedSpan]]:
    """The spans of a chat's trace by the first word of their names, when all of it has come.

    Without `chat.admission`, which a chat has if its admission took a millisecond: on a busy machine at any time.
    """
    (chat,) = observed.collector.wait_for(lambda span: span.attributes.get("chat.id") == chat_id)
    trace = observed.collector.trace(chat.trace_id, "POST ", "chat ", "groq.attempt")
    named: dict[str, list[ReceivedSpan]] = {}
    for span in trace:
        if span.name == ADMISSION_SPAN:
            continue
        named.setdefault(span.name.partition(" ")[0], []).append(span)
    return named
