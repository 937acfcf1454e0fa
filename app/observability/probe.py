"""The narrow door to all signals: facts go in, and whatever becomes of them, nothing comes back."""

import dataclasses
from typing import Any

import structlog

from app.core.errors import ServiceError
from app.core.outcomes import Outcome

_TEXTS = {"prompt", "messages", "response", "reasoning", "tool_calls", "params"}

log = structlog.get_logger("app.chat")


class Probe:
    """Satisfies `chat.ports.Probe`. It never raises: a signal that fails must not take a chat along."""

    def chat_finished(self, record: Any, error: ServiceError | None) -> None:
        """One wide line for each chat: every fact of its row but the texts."""
        try:
            facts = {name: value for name, value in dataclasses.asdict(record).items() if name not in _TEXTS}
            facts["request_id"] = facts.pop("id")
            ours = record.outcome in (Outcome.INTERNAL_ERROR, Outcome.NOT_RECORDED)
            if ours:
                log.error("chat.finished", **facts, exc_info=error and error.__cause__)
            else:
                log.info("chat.finished", **facts)
        except Exception:
            log.exception("probe.failed")
