"""Schemas that are recursive, too large or invalid."""

import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.simulator.json_values import value_for
from tests.simulator.test_wire import post
from tests.support.service import SimulatedGroq


def _recursive(*ends: dict[str, Any]) -> dict[str, Any]:
    node = {"type": "object", "properties": {"left": {"$ref": "#/$defs/e"}}, "required": ["left"]}
    return {
        "type": "object",
        "properties": {"e": {"$ref": "#/$defs/e"}},
        "required": ["e"],
        "$defs": {"e": {"anyOf": [node, *ends]}},
    }


LEAF = {"type": "object", "properties": {"value": {"type": "number"}}, "required": ["value"]}


@pytest.mark.parametrize(
    "schema",
    [
        _recursive({"type": "number"}),
        _recursive({"enum": ["end"]}),
        _recursive({"type": "array", "items": {"$ref": "#"}}),
        _recursive(LEAF),
        _recursive({"oneOf": [LEAF, {"const": 1}]}),
        _recursive({"type": ["object", "string"], "properties": {"e": {"$ref": "#/$defs/e"}}, "required": ["e"]}),
    ],
)
def test_a_recursive_schema_has_a_finite_value(schema: dict[str, Any]) -> None:
    Draft202012Validator(schema).validate(value_for(schema, random.Random(0)))


def _array(length: int, items: Any) -> dict[str, Any]:
    return {"type": "array", "minItems": length, "items": items}


def _doubled(keyword: str, levels: int) -> dict[str, Any]:
    """A schema that refers twice to the next level at every level."""
    twice = [[{"$ref": f"#/$defs/{level + 1}"}] * 2 for level in range(levels)]
    return {"$ref": "#/$defs/0", "$defs": {str(level): {keyword: each} for level, each in enumerate([*twice, []])}}


TOO_LARGE, INVALID, INFINITE = (
    "the JSON schema needs more than",
    "the JSON schema is invalid",
    "no value of at most 40 levels fits",
)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (_array(10**9, {"type": "string"}), TOO_LARGE),
        (_array(200, _array(200, {"type": "null"})), TOO_LARGE),
        ({"type": "string", "minLength": 10**9}, TOO_LARGE),
        (_array(200, {"type": "string", "minLength": 1000}), TOO_LARGE),
        (_array(200, {"const": "x" * 1000}), TOO_LARGE),
        (_array(200, {"required": ["x" * 1000], "properties": {}}), TOO_LARGE),
        (_doubled("allOf", 18), TOO_LARGE),
        (_recursive(), INFINITE),
        ({"allOf": [{"$ref": "#"}]}, INFINITE),
        ({"$ref": "#"}, INFINITE),
        ({"type": []}, INFINITE),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, INFINITE),
        ({"$ref": "#/$defs/missing"}, INVALID),
        ({"$ref": 5}, INVALID),
        ({"type": "integer", "minimum": "a"}, INVALID),
        ({"type": "integer", "minimum": 10**400}, INVALID),
        ({"type": 7, "enum": 5}, INVALID),
        ({"anyOf": {"type": "null"}}, INVALID),
    ],
)
def test_a_schema_without_a_value_of_a_reasonable_size_is_refused(
    groq: SimulatedGroq, schema: dict[str, Any], message: str
) -> None:
    schema_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    response = post(groq, response_format=schema_format)
    assert (response.status_code, response.json()["error"]["message"][: len(message)]) == (400, message)


def test_a_tool_with_an_invalid_schema_is_refused(groq: SimulatedGroq) -> None:
    function = {"name": "a", "parameters": {"type": "object", "properties": [1]}}
    response = post(groq, tools=[{"type": "function", "function": function}], tool_choice="required")
    assert (response.status_code, INVALID in response.json()["error"]["message"]) == (400, True)
