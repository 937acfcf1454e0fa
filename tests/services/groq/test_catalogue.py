"""Groq's catalogue: models, prices, and what applies without a catalogue."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.core.models import LAST_KNOWN_PRICES, Model, ModelPrice
from app.services.groq.catalogue import Catalogue, parse_catalogue
from app.services.groq_client import GroqClient
from tests.services.groq.clients import settings
from tests.support.service import SimulatedGroq
from tests.support.waiting import until

MINI: dict[str, Any] = {"id": "mini", "pricing": {"prompt": "0.000001", "completion": "0.000002"}}


async def read(client: GroqClient, done: Callable[[Catalogue], bool]) -> Catalogue:
    """The client's catalogue, once it is as expected."""
    async with asyncio.timeout(60):
        while not done(client.catalogue):
            await asyncio.sleep(0.01)
    return client.catalogue


async def test_models_and_prices_come_from_groq(groq: SimulatedGroq) -> None:
    listed = groq.http.get(f"{groq.url}/models", headers={"authorization": "Bearer x"}).json()["data"]
    async with GroqClient(settings(groq.url)) as client:
        catalogue = await read(client, lambda each: bool(each.models()[0].fields))
        assert {model.id: model.fields for model in catalogue.models()} == {each["id"]: each for each in listed}
        for model_id, price in LAST_KNOWN_PRICES.items():
            assert catalogue.price(model_id) == price
        assert catalogue.find("llama-3.3-70b-versatile") == catalogue.find("openai/gpt-oss-120b")
        assert catalogue.find("no-such-model") is None
        assert catalogue.missing == {}


async def test_model_prices_override_and_complete_the_catalogue(groq: SimulatedGroq) -> None:
    groq.fail({"endpoint": "models", "body": json.dumps({"data": [MINI, {"id": "free"}]})})
    mine = {"mini": {"input": 5, "output": 6}, "elsewhere": {"input": 1, "output": 1}}
    async with GroqClient(settings(groq.url, model_prices=mine)) as client:
        catalogue = await read(client, lambda each: each.knows("mini"))
        assert catalogue.price("mini") == ModelPrice(input=5, output=6)
        assert catalogue.price("elsewhere") == ModelPrice(input=1, output=1)
        assert catalogue.price("free") is None
    async with GroqClient(settings(groq.url)) as client:
        catalogue = await read(client, lambda each: each.knows("mini"))
        assert catalogue.price("mini") == ModelPrice(input=1, output=2)
        assert catalogue.price("openai/gpt-oss-20b") == LAST_KNOWN_PRICES["openai/gpt-oss-20b"]


async def test_allowed_models_filter_the_catalogue(groq: SimulatedGroq) -> None:
    allowed = {"allowed_models": "openai/gpt-oss-20b, llama-3.3-70b-versatile"}
    async with GroqClient(settings(groq.url, **allowed)) as client:
        catalogue = await read(client, lambda each: bool(each.models()[0].fields))
        assert [model.id for model in catalogue.models()] == ["openai/gpt-oss-120b", "openai/gpt-oss-20b"]
        assert catalogue.find("qwen/qwen3.6-27b") is None


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 500},
        {"body": "<html>"},
        {"body": '{"data": 5}'},
        {"body": "[" * 100_000},
        {"body": json.dumps({"data": [MINI]}) + " " * 2**22},  # too long
    ],
)
async def test_without_a_catalogue_the_settings_name_the_models(groq: SimulatedGroq, fault: Any) -> None:
    groq.fail({"endpoint": "models", **fault})
    async with GroqClient(settings(groq.url, groq_default_model="mine")) as client:
        async with asyncio.timeout(60):
            while not groq.applied()[0]:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        ids = {model.id for model in client.catalogue.models()}
        assert ids == {"mine", "openai/gpt-oss-20b", "openai/gpt-oss-120b", *LAST_KNOWN_PRICES}
        assert client.catalogue.missing == {}
        assert client.catalogue.price("openai/gpt-oss-120b") == LAST_KNOWN_PRICES["openai/gpt-oss-120b"]


@pytest.mark.parametrize(("slot", "lines"), [(0, 1), (1, 0)])
async def test_a_retired_model_in_the_settings_is_logged_by_the_first_worker(
    groq: SimulatedGroq, slot: int, lines: int
) -> None:
    with capture_logs() as logged:
        async with GroqClient(settings(groq.url, groq_default_model="llama-3.1-8b-instant", worker_slot=slot)):
            pass
    assert [line["event"] for line in logged].count("model.mapped") == lines


async def test_neither_the_start_nor_the_stop_waits_for_the_catalogue(groq: SimulatedGroq) -> None:
    groq.fail({"endpoint": "models", "first_byte_delay_s": 600})
    async with asyncio.timeout(60), GroqClient(settings(groq.url)) as client:
        assert client.catalogue.models()


async def test_the_catalogue_is_refreshed_after_one_that_could_not_be_read(groq: SimulatedGroq) -> None:
    groq.fail({"endpoint": "models", "body": "[" * 100_000, "times": 1})
    async with GroqClient(settings(groq.url, groq_catalogue_refresh_s=0.05)) as client:
        await read(client, lambda each: bool(each.missing) or each.knows("qwen/qwen3.6-27b"))


async def test_a_catalogue_stays_when_its_endpoint_is_gone_for_a_moment(groq: SimulatedGroq) -> None:
    groq.fail(
        {"endpoint": "models", "body": json.dumps({"data": [MINI]}), "times": 1}, {"endpoint": "models", "status": 404}
    )
    async with GroqClient(settings(groq.url, groq_catalogue_refresh_s=0.05)) as client:
        await read(client, lambda each: each.knows("mini"))
        await until(lambda: len(groq.applied()) > 1 and groq.applied()[1] > 1, "it is not refreshed")
        assert client.catalogue.knows("mini")


async def test_the_catalogue_is_refreshed(groq: SimulatedGroq) -> None:
    groq.fail({"endpoint": "models", "body": json.dumps({"data": [MINI]}), "times": 1})
    async with GroqClient(settings(groq.url, groq_catalogue_refresh_s=0.05)) as client:
        await read(client, lambda each: each.knows("mini"))
        await read(client, lambda each: not each.knows("mini"))


async def test_configured_models_that_groq_lacks_are_listed(groq: SimulatedGroq) -> None:
    groq.fail({"endpoint": "models", "body": json.dumps({"data": [MINI]})})
    named = {"groq_default_model": "mini", "groq_fallback_model": "llama-3.1-8b-instant"}
    async with GroqClient(settings(groq.url, **named)) as client:
        catalogue = await read(client, lambda each: each.knows("mini"))
        assert catalogue.missing == {"GROQ_FALLBACK_MODEL": "openai/gpt-oss-20b"}
    aliases = {"groq_default_model": "mini", "groq_model_aliases": {"small": "mini", "large": "maxi"}}
    async with GroqClient(settings(groq.url, **aliases)) as client:
        catalogue = await read(client, lambda each: each.knows("mini"))
        assert catalogue.missing == {"GROQ_MODEL_ALIASES (large)": "maxi"}


@pytest.mark.parametrize(
    ("entry", "price"),
    [
        (MINI, ModelPrice(input=1, output=2)),
        (
            {"id": "m", "pricing": {"prompt": "0.000000075", "completion": 0.0000003, "input_cache_read": "3.75e-8"}},
            ModelPrice(input=0.075, output=0.3, cached_input=0.0375),
        ),
        ({"id": "m"}, None),
        ({"id": "m", "pricing": []}, None),
        ({"id": "m", "pricing": {"prompt": "free", "completion": "0"}}, None),
        ({"id": "m", "pricing": {"prompt": "-1", "completion": "0"}}, None),
        ({"id": "m", "pricing": {"prompt": "nan", "completion": "0"}}, None),
        ({"id": "m", "pricing": {"prompt": "0.1"}}, None),
        ({"id": "m", "pricing": {"prompt": 10**400, "completion": 0}}, None),
    ],
)
def test_an_invalid_price_is_unknown(entry: dict[str, Any], price: ModelPrice | None) -> None:
    assert parse_catalogue(json.dumps({"data": [entry, 5, {}, {"id": 7}]}).encode()) == [
        Model(entry["id"], entry, price)
    ]
