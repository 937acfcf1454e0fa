"""The models that the simulator serves, at the pace that Groq serves them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """`tokens_per_s` is the pace of one stream. `reasons`: it thinks before it answers."""

    name: str
    tokens_per_s: float
    reasons: bool = False
    harmony: bool = False
    """gpt-oss: reasoning comes with `channel: analysis`."""
    compound: bool = False
    """groq/compound: the id changes from chunk to chunk, there is no opening chunk, and the last id is `stub`."""


MODELS = {
    model.name: model
    for model in (
        Model("openai/gpt-oss-120b", 450, reasons=True, harmony=True),
        Model("openai/gpt-oss-20b", 985, reasons=True, harmony=True),
        Model("qwen/qwen3-32b", 400, reasons=True),
        Model("groq/compound", 350, compound=True),
    )
}

PREFILL_TOKENS_PER_S = 20_000
