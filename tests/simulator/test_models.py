"""The catalogue, and what a prompt costs that was read before."""

from typing import Any

import pytest

from app.core.models import LAST_KNOWN_PRICES, RETIRED_MODELS, ModelPrice
from app.simulator.limits import PromptCache
from app.simulator.models import MODELS
from tests.simulator.test_wire import AUTH, post, stream
from tests.support.service import SimulatedGroq


def test_the_catalogue_has_what_groq_s_has(groq: SimulatedGroq) -> None:
    listed = groq.http.get(f"{groq.url}/models", headers=AUTH).json()
    assert listed["object"] == "list"
    entries = {entry["id"]: entry for entry in listed["data"]}
    assert set(entries) == set(MODELS) >= set(LAST_KNOWN_PRICES)
    assert not set(entries) & (set(RETIRED_MODELS) | {"qwen/qwen3-32b"})
    small = entries["openai/gpt-oss-20b"]
    assert small["pricing"] == {
        "prompt": "0.000000075",
        "completion": "0.0000003",
        "input_cache_read": "0.0000000375",
    }
    assert (small["context_length"], small["max_output_length"]) == (131_072, 65_536)
    assert (small["object"], small["owned_by"], small["active"], small["created"]) == (
        "model",
        "OpenAI",
        True,
        1754407957,
    )
    assert entries["qwen/qwen3.8-27b"]["input_modalities"] == ["text", "image"]
    assert "pricing" not in entries["groq/compound"]


@pytest.mark.parametrize(("name", "price"), LAST_KNOWN_PRICES.items())
def test_prices_are_dollars_per_token(name: str, price: ModelPrice) -> None:
    entry = MODELS[name].entry()
    assert float(entry["pricing"]["prompt"]) * 1e6 == pytest.approx(price.input)
    assert float(entry["pricing"]["completion"]) * 1e6 == pytest.approx(price.output)
    assert float(entry["pricing"]["input_cache_read"]) * 1e6 == pytest.approx(price.cached_input)


def conversation(*texts: str, system: str = "long " * 300) -> dict[str, Any]:
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return {"messages": [{"role": "system", "content": system}, *turns]}


def test_the_beginning_of_a_prompt_that_was_seen_before_is_cached(groq: SimulatedGroq) -> None:
    first = stream(groq, **conversation("Hi"))[-1]
    second = stream(groq, **conversation("Hi", "Hello", "And now?"))[-1]
    other = post(groq, **conversation("Bonjour")).json()
    assert "prompt_tokens_details" not in first["usage"]
    cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached % 128 == 0
    assert 0 < cached <= first["usage"]["prompt_tokens"] < second["usage"]["prompt_tokens"]
    assert second["x_groq"]["usage"] == second["usage"]
    assert second["usage"]["prompt_time"] < first["usage"]["prompt_time"]
    assert other["usage"]["prompt_tokens_details"]["cached_tokens"] == cached


def test_what_was_not_answered_is_not_cached(groq: SimulatedGroq) -> None:
    groq.fail({"status": 503, "times": 1})
    assert post(groq, **conversation("Hi")).status_code == 503
    assert "prompt_tokens_details" not in post(groq, **conversation("Hi")).json()["usage"]


def test_short_prompts_other_models_and_models_without_a_cache_find_nothing(groq: SimulatedGroq) -> None:
    asked = [
        conversation("Hi", system="short"),
        conversation("Hi"),
        conversation("Hi") | {"model": "openai/gpt-oss-120b"},
        conversation("Hi") | {"model": "groq/compound"},
    ]
    found = [post(groq, **body).json()["usage"] for body in asked]
    assert not any("prompt_tokens_details" in usage for usage in found)
    assert "prompt_tokens_details" not in post(groq, **asked[0]).json()["usage"]
    assert "prompt_tokens_details" not in post(groq, **asked[3]).json()["usage"]


def test_the_cache_forgets_what_nobody_asks_for() -> None:
    cache = PromptCache()
    body = conversation("Hi") | {"model": "m"}
    cache.remember(body)
    assert cache.cached_tokens(body) > 0
    for number in range(4096):
        cache.remember(conversation("Hi", system=f"{number} " * 300) | {"model": "m"})
    assert cache.cached_tokens(body) == 0


def test_cached_tokens_do_not_count_toward_the_limits(groq: SimulatedGroq) -> None:
    groq.http.put(f"{groq.root}/limits", json={"openai/gpt-oss-20b": {"tokens_per_minute": 100_000}})
    left = [
        int(post(groq, **conversation("Hi"), max_tokens=1).headers["x-ratelimit-remaining-tokens"]) for _ in range(2)
    ]
    assert 100_000 - left[0] > 300
    assert left[0] - left[1] < 100
