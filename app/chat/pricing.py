"""What a chat costs."""

from app.chat.block import Usage
from app.core.setting_types import ModelPrice


def cost_usd(usage: Usage, price: ModelPrice | None) -> float | None:
    """In US dollars. Cached input has its own price where the list gives one; reasoning is paid as output.

    None where the model is not on the list: an unknown cost is not zero.
    """
    if price is None:
        return None
    cached_price = price.input if price.cached_input is None else price.cached_input
    fresh_tokens = usage.prompt_tokens - usage.cached_tokens
    dollars = fresh_tokens * price.input + usage.cached_tokens * cached_price + usage.completion_tokens * price.output
    return round(dollars / 1_000_000, 9)
