"""Values that fit a JSON schema: what JSON mode, structured outputs and tools' arguments are made of."""

import math
import random
from typing import Any

_DEEPEST = 6
_FORMATS = {
    "date": "2026-11-26",
    "date-time": "2026-11-26T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1M",
    "email": "ada@example.org",
    "uri": "https://example.org/",
    "uuid": "8f14e45f-ceea-467f-a9f5-1b2c3d4e5f60",
    "ipv4": "192.0.2.1",
}

Schema = Any
"""An object, or `true`, which everything fits."""


def value_for(schema: Schema, rng: random.Random) -> Any:
    """A value for what Groq takes as a schema: types, properties, items, enums, references, unions and bounds.

    It does not look at `pattern`, `not`, `if` and their like, which strict mode has not either.
    """
    return _Writer(schema, rng).write(schema, 0)


class _Writer:
    def __init__(self, root: Schema, rng: random.Random) -> None:
        self._root = root
        self._rng = rng

    def write(self, schema: Schema, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._rng.choice(schema["enum"])
        if union := schema.get("anyOf") or schema.get("oneOf"):
            return self.write(self._one_of(union, depth), depth + 1)
        kind = self._type(schema, depth)
        if kind in ("object", "array"):
            return self._object(schema, depth) if kind == "object" else self._array(schema, depth)
        return _simple(kind, schema)

    def _resolved(self, schema: Schema) -> dict[str, Any]:
        """The schema that a reference leads to, and one out of all that `allOf` lists."""
        seen = 0
        while isinstance(schema, dict) and "$ref" in schema and seen < _DEEPEST:
            schema, seen = self._referred(schema["$ref"]), seen + 1
        found: dict[str, Any] = schema if isinstance(schema, dict) else {}
        for part in found.get("allOf") or []:
            more = self._resolved(part)
            properties = {**found.get("properties", {}), **more.get("properties", {})}
            found = found | more | ({"properties": properties} if properties else {})
        return found

    def _referred(self, reference: str) -> Schema:
        place = self._root
        for name in reference.removeprefix("#").split("/")[1:]:
            place = place.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(place, dict) else {}
        return place

    def _one_of(self, schemas: list[Schema], depth: int) -> Schema:
        """Any; far down the one that ends a recursion."""
        ends = [each for each in schemas if self._resolved(each).get("type") == "null"]
        return ends[0] if ends and depth >= _DEEPEST else schemas[0]

    def _type(self, schema: dict[str, Any], depth: int) -> str:
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return "null" if "null" in kinds and depth >= _DEEPEST else str(kinds[0])
        if kinds is None and ("properties" in schema or "items" in schema):
            return "object" if "properties" in schema else "array"
        return str(kinds)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required") or []
        properties = schema.get("properties") or {}
        written = {
            name: self.write(each, depth + 1)
            for name, each in properties.items()
            if name in required or depth < _DEEPEST
        }
        return written | {name: "…" for name in required if name not in properties}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems") or []
        length = max(schema.get("minItems", 0), len(first), 1 if depth < _DEEPEST else 0)
        length = min(length, schema.get("maxItems", length))
        each = [*first, *[schema.get("items", {})] * (length - len(first))]
        return [self.write(item, depth + 1) for item in each[:length]]


def _simple(kind: str, schema: dict[str, Any]) -> Any:
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
            return _text(schema)


def _text(schema: dict[str, Any]) -> str:
    text = _FORMATS.get(schema.get("format", ""), "Paris")
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _number(schema: dict[str, Any], usual: float, *, whole: bool = False) -> float:
    """The usual one where the bounds have it, else one between them."""
    gap = 1 if whole else 0
    low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + gap)
    high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - gap)
    if step := schema.get("multipleOf"):
        steps = math.ceil(low / step) if math.isfinite(low) else math.floor(min(high, usual) / step)
        return float(step * steps)
    if low < usual < high:
        return usual
    if whole:
        return math.ceil(low) if math.isfinite(low) else math.floor(high)
    return (max(low, high - 2) + min(high, low + 2)) / 2
