"""The cost of a chat, from Groq's usage and prices."""

from typing import Any

import pytest

from app.core.models import LAST_KNOWN_PRICES
from tests.support.service import Reply, Service, SimulatedGroq

PRICE = LAST_KNOWN_PRICES["openai/gpt-oss-20b"]


def conversation(question: str) -> dict[str, Any]:
    system = {"role": "system", "content": "Answer at length, and name your sources. " * 100}
    return {"messages": [system, {"role": "user", "content": question}]}


def test_cached_input_has_its_own_price(service: Service, groq: SimulatedGroq) -> None:
    first, second = service.chat(conversation("Why?")), service.chat(conversation("Why not?"))
    rows = [service.row(reply.id) for reply in (first, second)]
    assert not rows[0]["cached_tokens"]
    assert rows[1]["cached_tokens"] > 900
    for reply, row in zip((first, second), rows, strict=True):
        assert float(row["cost_usd"]) == pytest.approx(dollars(reply), abs=1e-9)


def dollars(reply: Reply) -> float:
    """The cost by the usage in the response."""
    usage = reply.chunks[-1]["usage"]
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    fresh = usage["prompt_tokens"] - cached
    cost = fresh * PRICE.input + cached * (PRICE.cached_input or 0) + usage["completion_tokens"] * PRICE.output
    return float(cost) / 1e6
