"""JSON mode and structured outputs: the answer is JSON, and fits the schema that was asked for."""

import json
import random
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openai import OpenAI
from pydantic import BaseModel, Field

from app.simulator.json_values import value_for
from tests.simulator.test_wire import post
from tests.support.service import SimulatedGroq

NUMBERS = st.integers(-100, 100)
ASKS_FOR_JSON: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say it in JSON."}],
    "response_format": {"type": "json_object"},
}


def _bounded(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(NUMBERS, NUMBERS).map(sorted)
    step = 1 if kind == "integer" else 0.5
    return bounds.map(
        lambda low_high: {"type": kind, "minimum": low_high[0], "exclusiveMaximum": low_high[1] + 2 * step}
    )


def _object(each: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.text(max_size=5), each, max_size=4)
    return properties.map(
        lambda named: {
            "type": "object",
            "properties": named,
            "required": sorted(named)[::2],
            "additionalProperties": False,
        }
    )


SIMPLE = st.one_of(
    st.sampled_from([{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]),
    st.just({}),
    st.just({"type": ["string", "null"]}),
    st.lists(st.one_of(st.text(), NUMBERS, st.none()), min_size=1, max_size=3).map(lambda each: {"enum": each}),
    NUMBERS.map(lambda value: {"const": value}),
    _bounded("integer"),
    _bounded("number"),
    st.integers(2, 7).map(lambda step: {"type": "integer", "multipleOf": step}),
    st.integers(0, 20).map(lambda least: {"type": "string", "minLength": least, "maxLength": least + 1}),
)
SCHEMAS = st.recursive(
    SIMPLE,
    lambda each: st.one_of(
        _object(each),
        st.tuples(each, st.integers(0, 3)).map(
            lambda item: {"type": "array", "items": item[0], "minItems": item[1], "maxItems": item[1] + 1}
        ),
        st.lists(each, min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
        st.lists(each, min_size=1, max_size=3).map(
            lambda items: {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        ),
        each.map(lambda value: {"type": "object", "required": ["any name"], "additionalProperties": value}),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "bounds",
    [
        {"minimum": 2},
        {"maximum": 1},
        {"exclusiveMinimum": 2},
        {"exclusiveMaximum": 1.5},
        {"exclusiveMinimum": 0, "multipleOf": 0.5},
        {"exclusiveMaximum": 1.5, "multipleOf": 0.5},
        {"exclusiveMinimum": 0, "exclusiveMaximum": 1.1},
    ],
)
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_a_number_fits_bounds_on_one_side_and_multiples(kind: str, bounds: dict[str, Any]) -> None:
    schema = {"type": kind} | bounds
    value = value_for(schema, random.Random(0))
    Draft202012Validator(schema).validate(json.loads(json.dumps(value, allow_nan=False)))


@given(SCHEMAS, st.integers(0, 5))
def test_a_value_fits_its_schema(schema: dict[str, Any], seed: int) -> None:
    value = value_for(schema, random.Random(seed))
    Draft202012Validator(schema).validate(value)
    assert value == value_for(schema, random.Random(seed))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"allOf": [{"type": "object"}, {"properties": {"a": {"const": 1}}}]}, {"a": 1}),
        ({"properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1}),
        ({"items": {"const": 1}}, [1]),
    ],
)
def test_schemas_without_a_type_have_values_too(schema: dict[str, Any], value: Any) -> None:
    assert value_for(schema, random.Random(0)) == value


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Place(BaseModel):
    name: str
    population: int = Field(ge=1000)
    nearby: list["Place"]
    mayor: str | None


class Report(BaseModel):
    mood: Mood
    places: list[Place] = Field(min_length=2)
    share: float = Field(gt=0, lt=1)
    parent: "Report | None"


def test_openai_s_client_parses_structured_outputs(groq: SimulatedGroq) -> None:
    """References, recursion, enums, unions and bounds, as pydantic writes them."""
    with OpenAI(base_url=groq.url, api_key="any", max_retries=0) as client:
        answer = client.chat.completions.parse(
            model="openai/gpt-oss-20b", messages=[{"role": "user", "content": "How is it?"}], response_format=Report
        )
    report = answer.choices[0].message.parsed
    assert report
    assert len(report.places) >= 2
    assert report.places[0].population >= 1000


@pytest.mark.parametrize("model", ["openai/gpt-oss-20b", "qwen/qwen3.6-27b"])
def test_json_mode_answers_with_an_object_and_nothing_beside_it(groq: SimulatedGroq, model: str) -> None:
    message = post(groq, model=model, **ASKS_FOR_JSON).json()["choices"][0]["message"]
    assert json.loads(message["content"])["question"] == "Say it in JSON."
    assert message["reasoning"].startswith("The user")


def test_json_that_has_no_end_is_refused(groq: SimulatedGroq) -> None:
    response = post(groq, **ASKS_FOR_JSON, max_completion_tokens=22)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "json_validate_failed")
    assert error["failed_generation"].startswith('{"question":')
