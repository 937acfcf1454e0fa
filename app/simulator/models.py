"""The models that the simulator serves: as Groq's `GET /models` describes them, at the speed of Groq's.

Checked on 2026-11-26 against public sources; docs/groq.md lists them.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.core.models import LAST_KNOWN_PRICES

PREFILL_TOKENS_PER_S = 20_000


@dataclass(frozen=True, slots=True)
class Model:
    """`tokens_per_s` is the speed of one stream. `efforts`: values of `reasoning_effort`; without any, no reasoning."""

    name: str
    tokens_per_s: float
    owned_by: str
    created: int
    max_output: int
    context_window: int = 131_072
    input_modalities: tuple[str, ...] = ("text",)
    efforts: tuple[str, ...] = ()
    harmony: bool = False
    """gpt-oss: reasoning comes apart from the content, with `channel: analysis`; other models put it in `<think>`."""
    compound: bool = False
    """groq/compound: the id changes from chunk to chunk, there is no opening chunk, and the last id is `stub`."""

    @property
    def caches_prompts(self) -> bool:
        """Whether Groq has a price for cached input."""
        price = LAST_KNOWN_PRICES.get(self.name)
        return price is not None and price.cached_input is not None

    def entry(self) -> dict[str, Any]:
        """As in Groq's list. Sources disagree about the names of two sizes; both are here."""
        entry: dict[str, Any] = {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": self.owned_by,
            "active": True,
            "context_window": self.context_window,
            "context_length": self.context_window,
            "public_apps": None,
            "max_completion_tokens": self.max_output,
            "max_output_length": self.max_output,
            "input_modalities": list(self.input_modalities),
            "output_modalities": ["text"],
        }
        if price := LAST_KNOWN_PRICES.get(self.name):
            dollars = {"prompt": price.input, "completion": price.output, "input_cache_read": price.cached_input}
            entry["pricing"] = {name: _per_token(each) for name, each in dollars.items() if each is not None}
        return entry


def _per_token(dollars_per_million: float) -> str:
    """`0.075` is `0.000000075`: Groq writes prices as decimal fractions in strings."""
    return f"{Decimal(str(dollars_per_million)) / 1_000_000:f}"


_GPT_OSS: dict[str, Any] = {"efforts": ("low", "medium", "high"), "harmony": True}
_SEES: dict[str, Any] = {"input_modalities": ("text", "image")}

MODELS = {
    model.name: model
    for model in (
        Model("openai/gpt-oss-120b", 500, "OpenAI", 1754408224, 65_536, **_GPT_OSS),
        Model("openai/gpt-oss-20b", 1000, "OpenAI", 1754407957, 65_536, **_GPT_OSS),
        # No source has the speed of the two Qwens: 400 is what Groq served qwen3-32b at.
        Model("qwen/qwen3.6-27b", 400, "Alibaba Cloud", 1778288776, 16_384, efforts=("none", "default"), **_SEES),
        Model(
            "qwen/qwen3.8-27b",
            400,
            "Alibaba Cloud",
            1786984846,
            16_384,
            131_042,
            efforts=("none", "default", "low", "medium", "high"),
            **_SEES,
        ),
        # Its end was announced for 2026-09-21; it stays because no other model streams as it does.
        Model("groq/compound", 350, "Groq", 1756949530, 8_192, compound=True),
    )
}

DECOMMISSIONED = frozenset({"gemma2-9b-it", "llama-3.1-70b-versatile", "qwen-qwq-32b"})
"""Models for which Groq answers 400 `model_decommissioned`. Models that were retired in July and August 2026 answer
404, as unknown ones."""
