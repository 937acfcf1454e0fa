"""The narrow door to all signals: facts go in, and whatever becomes of them, nothing comes back."""

import dataclasses
from contextlib import suppress
from typing import Any

import structlog

from app.core.errors import ServiceError
from app.core.outcomes import Outcome

# A line is no place for what people said to each other; it has the id of the row that is.
_NOT_IN_THE_LINE = {"id", "prompt", "messages", "params", "response", "reasoning", "tool_calls"}

log = structlog.get_logger("app.chat")


class Probe:
    """Satisfies `chat.ports.Probe`. It never raises: a signal that fails must not take a chat along."""

    def chat_finished(self, record: Any, error: ServiceError | None) -> None:
        """One wide line for each chat: every fact of its row but the texts."""
        try:
            names = [field.name for field in dataclasses.fields(record) if field.name not in _NOT_IN_THE_LINE]
            facts = {name: getattr(record, name) for name in names} | {"request_id": str(record.id)}
            if record.outcome is Outcome.INTERNAL_ERROR:
                log.error("chat.finished", **facts, exc_info=error and error.__cause__)
            elif record.outcome is Outcome.NOT_RECORDED:
                # Not its traceback: what a database says of a row may quote it.
                log.error("chat.finished", **facts, error=str((error and error.__cause__) or error))
            else:
                log.info("chat.finished", **facts)
        except Exception:
            with suppress(Exception):
                log.exception("probe.failed")
