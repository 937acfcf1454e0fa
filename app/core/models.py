"""Models and their prices: retired ids, and the last known prices for models that Groq's catalogue does not price.

Checked on 2026-11-26 against public reports; docs/groq.md lists them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, Field

_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelPrice(BaseModel):
    """The price of a model, in US dollars per million tokens."""

    input: _Dollars
    output: _Dollars
    cached_input: _Dollars | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a catalogue. `fields` has OpenAI's fields of a model, and the fields that the provider adds."""

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    price: ModelPrice | None = None


RETIRED_MODELS = {
    # Groq never served this id, which clients use by mistake for llama-3.1-8b-instant.
    "llama-3.3-8b-instant": "openai/gpt-oss-20b",
    # Shut down on 2026-08-16 for free and developer accounts; the successors are those of Groq's deprecation notice,
    # as quoted in langchain-ai/langchain#38363 and karthink/gptel#1481.
    "llama-3.1-8b-instant": "openai/gpt-oss-20b",
    "llama-3.3-70b-versatile": "openai/gpt-oss-120b",
}
"""Retired model ids, and the successors that Groq names for them."""

LAST_KNOWN_PRICES = {
    # US dollars per million tokens. gpt-oss: anomalyco/models.dev#1871 (2026-05-27), BerriAI/litellm#19309.
    "openai/gpt-oss-20b": ModelPrice(input=0.075, output=0.30, cached_input=0.0375),
    "openai/gpt-oss-120b": ModelPrice(input=0.15, output=0.60, cached_input=0.075),
    # Groq's catalogue, as quoted in anomalyco/models.dev#3761 (2026-07-27) and #5742 (2026-08-29).
    "qwen/qwen3.6-27b": ModelPrice(input=0.60, output=3.00, cached_input=0.30),
    "qwen/qwen3.8-27b": ModelPrice(input=0.80, output=4.00, cached_input=0.40),
}
"""Prices of models for which neither `MODEL_PRICES` nor Groq's catalogue has one.

No source has a price of groq/compound. Those of allam-2-7b contradict each other, and that of gpt-oss-safeguard-20b
has no date. `chat_unpriced_tokens_total` counts the tokens of models without a price."""
