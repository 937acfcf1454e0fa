"""What is said of a chat on its span: facts, and no prompt or answer."""

from collections.abc import Mapping
from typing import Any

from app.core.errors import ServiceError
from app.core.record import ChatRecord
from app.observability import names

MAX_LENGTH = 256
"""Of a text: clients and Groq may send longer ones, and spans wait in memory."""
_REQUEST = {
    names.REQUEST_MODEL: "model",
    names.REQUEST_STREAM: "stream",
    names.REQUEST_MAX_TOKENS: "max_tokens",
    names.REQUEST_TEMPERATURE: "temperature",
    names.REQUEST_TOP_P: "top_p",
    names.REQUEST_SEED: "seed",
}


def of_request(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What Groq is asked for."""
    plain = {name: asked[key] for name, key in _REQUEST.items() if key in asked}
    return {names.REQUEST_MAX_TOKENS: asked.get("max_completion_tokens"), **plain}


def of_outcome(record: ChatRecord, error: ServiceError | None) -> dict[str, Any]:
    """What became of it."""
    details = record.details
    return {
        names.OUTCOME: record.outcome,
        names.ERROR_TYPE: type(error).code if error else None,
        names.RESPONSE_ID: details.upstream_response_id,
        names.RESPONSE_MODEL: record.model_name,
        names.FINISH_REASONS: [record.finish_reason] if record.finish_reason else None,
        names.TIME_TO_FIRST_CHUNK: _s(details.upstream_first_chunk_ms),
        names.INPUT_TOKENS: record.prompt_tokens,
        names.OUTPUT_TOKENS: record.completion_tokens,
        names.CACHED_TOKENS: record.cached_tokens,
        names.REASONING_TOKENS: record.reasoning_tokens,
        names.USAGE_SOURCE: record.usage_source,
        names.COST: record.cost_usd,
        names.TTFT: _s(record.ttft_ms),
        names.TIME_PER_OUTPUT_TOKEN: _s(details.time_per_output_token_ms),
        names.LONGEST_SILENCE: _s(details.longest_silence_ms),
        names.OVERHEAD: _s(details.overhead_ms),
        names.BACKPRESSURE: _s(details.backpressure_ms),
        names.BYTES: details.bytes,
        names.ATTEMPTS: record.attempts,
        names.GROQ_REQUEST_ID: record.upstream_request_id,
        names.GROQ_QUEUE_TIME: _s(details.upstream_queue_ms),
        names.GROQ_PROMPT_TIME: _s(details.upstream_prompt_ms),
        names.GROQ_COMPLETION_TIME: _s(details.upstream_completion_ms),
    }


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Without those whose value nobody knows, or no exporter can write; long texts are cut."""
    return {name: _cut(value) for name, value in attributes.items() if value is not None and not _is_too_large(value)}


def _cut(value: Any) -> Any:
    return value[:MAX_LENGTH] if isinstance(value, str) else value


def _is_too_large(value: Any) -> bool:
    """An integer has 64 bits on the wire."""
    return isinstance(value, int) and value.bit_length() > 63


def _s(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
