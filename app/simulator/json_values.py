"""Values that fit a JSON schema, for structured outputs and the arguments of tools."""

import json
import math
import random
from collections.abc import Iterable
from typing import Any

_MAX_DEPTH = 6
"""From this depth on, optional properties and items are left out, and unions take their shallowest branch."""
_MAX_LEVELS = 12  # of the branches that are compared
_MAX_STEPS = 100
_MAX_SCHEMAS, _MAX_CHARACTERS = 10_000, 100_000
"""Limits of one value: larger ones would block the event loop for half a second or more. A value reads one schema or
more, which bounds the number of values too."""
_LEVELS = {"null": 0, "object": 2, "array": 2}  # other types: 1
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


class SchemaError(Exception):
    """A schema is invalid, has no finite value, or needs a value that is too large. The message is for the client."""


def value_for(schema: Schema, rng: random.Random) -> Any:
    """Return a value for a schema as Groq takes it: types, properties, items, enums, references, unions, bounds.

    Raises SchemaError.
    """
    try:
        return _Generator(schema, rng).value(schema, 0)
    except RecursionError:
        message = "no finite value fits the JSON schema: make a recursive property optional, or let it be null"
        raise SchemaError(message) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        raise SchemaError(f"the JSON schema is invalid: correct the value of a keyword ({exc})") from exc


class _Generator:
    """Generates one value. `root` is the schema that references start from."""

    def __init__(self, root: Schema, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._schemas_left = _MAX_SCHEMAS
        self._characters_left = _MAX_CHARACTERS
        self._shallowest: dict[int, Schema] = {}
        """The shallowest branch of a union, by the id of its list."""

    def value(self, schema: Schema, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema or schema.get("enum"):
            value = schema["const"] if "const" in schema else self._rng.choice(schema["enum"])
            self._take(characters=len(json.dumps(value)))
            return value
        if union := schema.get("anyOf") or schema.get("oneOf"):
            return self.value(self._branch(union, depth), depth + 1)
        match kind := _type(schema, depth):
            case "object":
                properties = self._properties(schema, depth)
                self._take(characters=sum(map(len, properties)))
                return {name: self.value(each, depth + 1) for name, each in properties.items()}
            case "array":
                return [self.value(each, depth + 1) for each in self._items(schema, depth)]
            case _:
                return self._scalar(kind, schema)

    def _scalar(self, kind: str, schema: dict[str, Any]) -> Any:
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
                text, length = _FORMATS.get(schema.get("format", ""), "Paris"), schema.get("minLength", 0)
                self._take(characters=max(len(text), length))
                return text.ljust(length, ".")[: schema.get("maxLength")]

    def _properties(self, schema: dict[str, Any], depth: int) -> dict[str, Schema]:
        required, properties = schema.get("required") or [], schema.get("properties") or {}
        named = {name: each for name, each in properties.items() if name in required or depth < _MAX_DEPTH}
        others = schema.get("additionalProperties", True)
        return named | {name: others for name in required if name not in properties}

    def _items(self, schema: dict[str, Any], depth: int) -> list[Schema]:
        first = schema.get("prefixItems") or []
        length = max(schema.get("minItems", 0), len(first) or (1 if depth < _MAX_DEPTH else 0))
        length = min(length, schema.get("maxItems", length))
        if length > self._schemas_left:
            raise _too_large()
        return [*first, *[schema.get("items", True)] * length][:length]

    def _branch(self, union: list[Schema], depth: int) -> Schema:
        """The first branch; from the maximal depth on, the first of those whose values have the fewest levels."""
        if depth < _MAX_DEPTH:
            return union[0]
        if id(union) not in self._shallowest:
            candidates = (each for levels in range(_MAX_LEVELS) for each in union if self._ends_within(levels, each))
            self._shallowest[id(union)] = next(candidates, union[0])
        return self._shallowest[id(union)]

    def _ends_within(self, levels: int, schema: Schema) -> bool:
        """Whether a value at the maximal depth has at most these levels. Null has 0, a scalar 1, others 2 or more."""
        schema = self._resolved(schema)
        if "const" in schema or schema.get("enum"):
            return levels > 0
        if union := schema.get("anyOf") or schema.get("oneOf"):
            return levels > 0 and any(self._ends_within(levels - 1, each) for each in union)
        kind = _type(schema, _MAX_DEPTH)
        if levels < _LEVELS.get(kind, 1) or kind not in ("object", "array"):
            return levels >= _LEVELS.get(kind, 1)
        parts = self._properties(schema, _MAX_DEPTH).values() if kind == "object" else self._items(schema, _MAX_DEPTH)
        return all(self._ends_within(levels - 1, each) for each in {id(each): each for each in parts}.values())

    def _resolved(self, schema: Schema) -> dict[str, Any]:
        """The schema that a reference leads to, combined with those in `allOf`."""
        self._take(schemas=1)
        for _ in range(_MAX_DEPTH):
            if not (isinstance(schema, dict) and "$ref" in schema):
                break
            schema, path = self._root, schema["$ref"].removeprefix("#").split("/")[1:]
            for name in path:
                schema = schema.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(schema, dict) else {}
        resolved: dict[str, Any] = schema if isinstance(schema, dict) else {}
        for part in resolved.get("allOf") or []:
            resolved = resolved | self._resolved(part)
        return resolved

    def _take(self, *, schemas: int = 0, characters: int = 0) -> None:
        self._schemas_left -= schemas
        self._characters_left -= characters
        if self._schemas_left < 0 or self._characters_left < 0:
            raise _too_large()


def _too_large() -> SchemaError:
    return SchemaError(
        f"the JSON schema needs more than {_MAX_SCHEMAS} values or {_MAX_CHARACTERS} characters: "
        "lower `minItems` or `minLength`, or use fewer properties and shorter texts"
    )


def _type(schema: dict[str, Any], depth: int) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return str(kinds[0] if depth < _MAX_DEPTH else min(kinds, key=lambda kind: _LEVELS.get(kind, 1)))
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
