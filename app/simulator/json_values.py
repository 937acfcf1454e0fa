"""Values that fit a JSON schema, for structured outputs and the arguments of tools."""

import math
import random
from collections.abc import Iterable
from typing import Any

_MAX_DEPTH = 6
_MAX_STEPS = 100
_FORMATS = {
    "date": "2026-11-26",
    "date-time": "2026-11-26T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT5M",
    "email": "ada@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "8f14e45f-ceea-467f-a9f5-1b2c3d4e5f60",
}

Schema = Any
"""An object, or `true`, which everything fits."""


def value_for(schema: Schema, rng: random.Random) -> Any:
    """Return a value for a schema as Groq takes it: types, properties, items, enums, references, unions, bounds."""
    return _value(schema, schema, rng, 0)


def _value(schema: Schema, root: Schema, rng: random.Random, depth: int) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else rng.choice(schema["enum"])
    if union := schema.get("anyOf") or schema.get("oneOf"):
        ends = [each for each in union if _resolved(each, root).get("type") == "null"] if depth >= _MAX_DEPTH else []
        return _value((ends or union)[0], root, rng, depth + 1)
    kind = _type(schema, depth)
    if kind == "object":
        required, properties = schema.get("required") or [], schema.get("properties") or {}
        value = {
            name: _value(each, root, rng, depth + 1)
            for name, each in properties.items()
            if name in required or depth < _MAX_DEPTH
        }
        others = schema.get("additionalProperties", {})
        return value | {name: _value(others, root, rng, depth + 1) for name in required if name not in properties}
    if kind == "array":
        first = schema.get("prefixItems") or []
        length = max(schema.get("minItems", 0), len(first) or (1 if depth < _MAX_DEPTH else 0))
        length = min(length, schema.get("maxItems", length))
        items = [*first, *[schema.get("items", {})] * length][:length]
        return [_value(each, root, rng, depth + 1) for each in items]
    return _scalar(kind, schema)


def _scalar(kind: str, schema: dict[str, Any]) -> Any:
    match kind:
        case "integer":
            return int(_number(schema, 3, whole=True))
        case "number":
            return _number(schema, 1.5)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            text = _FORMATS.get(schema.get("format", ""), "Paris")
            return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _resolved(schema: Schema, root: Schema) -> dict[str, Any]:
    """The schema that a reference leads to, combined with those in `allOf`."""
    for _ in range(_MAX_DEPTH):
        if not (isinstance(schema, dict) and "$ref" in schema):
            break
        schema, path = root, schema["$ref"].removeprefix("#").split("/")[1:]
        for name in path:
            schema = schema.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(schema, dict) else {}
    resolved: dict[str, Any] = schema if isinstance(schema, dict) else {}
    for part in resolved.get("allOf") or []:
        resolved = resolved | _resolved(part, root)
    return resolved


def _type(schema: dict[str, Any], depth: int) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return "null" if "null" in kinds and depth >= _MAX_DEPTH else str(kinds[0])
    if kinds is None and ("properties" in schema or "items" in schema):
        return "object" if "properties" in schema else "array"
    return str(kinds)


def _number(schema: dict[str, Any], usual: float, *, whole: bool = False) -> float:
    """The usual number if it fits, else one that does; the usual one if the bounds exclude every number."""
    low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))

    def fits(number: float) -> bool:
        is_excluded = number in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
        return math.isfinite(number) and low <= number <= high and not is_excluded and not (whole and number % 1)

    candidates: Iterable[float] = ((low + high) / 2, low + 1, high - 1, low, high)
    step = schema.get("multipleOf")
    if step or whole:
        step = step or 1
        first, direction = (
            (math.ceil(low / step), 1) if math.isfinite(low) else (math.floor(min(high, usual) / step), -1)
        )
        candidates = (step * (first + direction * number) for number in range(_MAX_STEPS))
    usual_first = () if "multipleOf" in schema else (usual,)
    return next((number for number in (*usual_first, *candidates) if fits(number)), usual)
