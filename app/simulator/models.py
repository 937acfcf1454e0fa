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
    """`tokens_per_s` is the speed of one stream. `efforts`: the values of `reasoning_effort`; without any, it does not
    reason.
    """

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
    def reasons(self) -> bool:
        return bool(self.efforts)

    @property
    def caches_prompts(self) -> bool:
        """Whether Groq has a price for input that it finds in its cache."""
        price = LAST_KNOWN_PRICES.get(self.name)
        return price is not None and price.cached_input is not None

    def entry(self) -> dict[str, Any]:
        """As in Groq's list. Sources disagree about the names of two sizes, so that both are here: `context_length` and
        `max_output_length` (anomalyco/models.dev#3761), `context_window` and `max_completion_tokens` (groq's older
        lists, enterpilot/gomodel).
        """
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


_GPT_OSS_EFFORTS = ("low", "medium", "high")
_SEES = ("text", "image")

MODELS = {
    model.name: model
    for model in (
        Model("openai/gpt-oss-120b", 500, "OpenAI", 1754408224, 65_536, efforts=_GPT_OSS_EFFORTS, harmony=True),
        Model("openai/gpt-oss-20b", 1000, "OpenAI", 1754407957, 65_536, efforts=_GPT_OSS_EFFORTS, harmony=True),
        # No source gives the speed of the two Qwens: 400 is what Groq served qwen3-32b at.
        Model(
            "qwen/qwen3.6-27b",
            400,
            "Alibaba Cloud",
            1778288776,
            16_384,
            input_modalities=_SEES,
            efforts=("none", "default"),
        ),
        # Efforts: groq-python 1.7.0 lists five, anomalyco/models.dev#5742 two. Context: 131,042 there, live on
        # 2026-08-29; 131,072 in models.dev#5740.
        Model(
            "qwen/qwen3.8-27b",
            400,
            "Alibaba Cloud",
            1786984846,
            16_384,
            131_042,
            input_modalities=_SEES,
            efforts=("none", "default", "low", "medium", "high"),
        ),
        # Its end was announced for 2026-09-21 (accuguide/accuguide#248, no other source). It stays here because no
        # other model streams as it does. Its price is that of the models that it asks.
        Model("groq/compound", 350, "Groq", 1756949530, 8_192, compound=True),
    )
}

DECOMMISSIONED = frozenset({
    # Each of them answered 400 `model_decommissioned` in the report beside it. Models that Groq retired in July and
    # August 2026 answer 404 `model_not_found`, as ids do that never existed (agno-agi/agno#9055,
    # ai_automation_suggester#187); DataTalksClub/llm-zoomcamp#183 names the 400 for them, a day before the end.
    "gemma2-9b-it",  # continuedev/continue#12741, 2026-06
    "llama-3.1-70b-versatile",  # karthink/gptel#1289, 2026-03
    "llama-3.2-1b-preview",  # RightNow-AI/openfang#834, 2026-03
    "llama-3.2-11b-vision-preview",  # valentinfrlch/ha-llmvision#324
    "llama-3.3-70b-specdec",  # ItzCrazyKns/Vane#771
    "llama3-70b-8192",  # bklieger-groq/stockbot-on-groq#59
    "qwen-2.5-32b",  # tnahddisttud/nanoagents#1
    "qwen-qwq-32b",  # atiilla/sqlmap-ai#3
})  # fmt: skip
