"""Values that fit a JSON schema, for structured outputs and the arguments of tools."""

import json
import math
import random
import sys
from contextlib import suppress
from typing import Any

from app.simulator.errors import Refused

_DEPTHS = (5, 10, 20, 40)
"""How many levels a value may have. The first of these depths at which one fits is taken."""
_MAX_SIZE, _SCHEMA_SIZE = 100_000, 10
"""The most characters of one value, with some for each schema that is read: larger ones would block the event loop for
half a second or more. A value reads one schema or more, which bounds the number of values too."""
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
"""An object, or `true`, which everything fits, or `false`, which nothing fits."""


class _NoValue(Exception):
    """No value fits that has few enough levels."""


def value_for(schema: Schema, rng: random.Random) -> Any:
    """Return a value for a schema as Groq takes it: types, properties, items, enums, references, unions, bounds.

    Raises Refused, in words of ours, if the schema is invalid, has no value, or only one that is too deep or too large.
    """
    try:
        for depth in _DEPTHS:
            with suppress(_NoValue):
                return _Generator(schema, rng).value(schema, depth)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        raise Refused(400, f"the JSON schema is invalid: correct the value of a keyword ({exc})") from exc
    raise Refused(
        400,
        f"no value of at most {_DEPTHS[-1]} levels fits the JSON schema: make a recursive property optional, or let it "
        "be null; correct bounds",
    )


class _Generator:
    """Generates one value. `root` is the schema that references start from; `depth` is how many levels are left."""

    def __init__(self, root: Schema, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._size_left = _MAX_SIZE

    def value(self, schema: Schema, depth: int) -> Any:
        schema = self._resolved(schema, depth)
        if "const" in schema or schema.get("enum"):
            value = schema["const"] if "const" in schema else self._rng.choice(schema["enum"])
            self._take(len(json.dumps(value)))
            return value
        if union := schema.get("anyOf") or schema.get("oneOf"):
            return self._first(union, depth)
        kind = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
        if isinstance(kind, list):
            return self._first([schema | {"type": each} for each in kind], depth)
        if kind in ("object", "array"):
            return self._object(schema, depth) if kind == "object" else self._array(schema, depth)
        return self._scalar(kind, schema)

    def _scalar(self, kind: str, schema: dict[str, Any]) -> Any:
        match kind:
            case "integer":
                return int(_number(schema, 3, step=1))
            case "number":
                return _number(schema, 1.5)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                text, length = _FORMATS.get(schema.get("format", ""), "Paris"), schema.get("minLength", 0)
                self._take(max(len(text), length))
                return text.ljust(length, ".")[: schema.get("maxLength")]

    def _first(self, union: list[Schema], depth: int) -> Any:
        """A value of the first branch that has one."""
        for branch in union:
            with suppress(_NoValue):
                return self.value(branch, depth - 1)
        raise _NoValue

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Optional properties are left out if no value fits."""
        required, properties = schema.get("required") or [], schema.get("properties") or {}
        found = {}
        for name in dict.fromkeys([*properties, *required]):
            try:
                found[name] = self.value(properties.get(name, schema.get("additionalProperties", True)), depth - 1)
            except _NoValue:
                if name in required:
                    raise
        self._take(sum(map(len, found)))
        return found

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        """One item, unless the schema has other bounds; none, if no value fits and none is required."""
        first, least = schema.get("prefixItems") or [], schema.get("minItems", 0)
        found: list[Any] = []
        while len(found) < min(max(least, len(first) or 1), schema.get("maxItems", sys.maxsize)):
            item = first[len(found)] if len(found) < len(first) else schema.get("items", True)
            try:
                found.append(self.value(item, depth - 1))
            except _NoValue:
                if len(found) < least:
                    raise
                break
        return found

    def _resolved(self, schema: Schema, depth: int) -> dict[str, Any]:
        """The schema that a reference leads to, combined with those in `allOf`."""
        self._take(_SCHEMA_SIZE)
        if depth < 0 or schema is False:
            raise _NoValue
        if schema is True:
            return {}
        if "$ref" in schema:
            target = self._root
            for name in schema["$ref"].removeprefix("#").split("/")[1:]:
                target = target[name.replace("~1", "/").replace("~0", "~")]
            return self._resolved(target, depth - 1)
        resolved: dict[str, Any] = schema
        for part in schema.get("allOf") or []:
            resolved = resolved | self._resolved(part, depth - 1)
        return resolved

    def _take(self, size: int) -> None:
        self._size_left -= size
        if self._size_left < 0:
            raise Refused(
                400,
                f"the JSON schema needs more than {_MAX_SIZE} characters, or {_MAX_SIZE // _SCHEMA_SIZE} values: "
                "lower `minItems` or `minLength`, or use fewer properties and shorter texts",
            )


def _number(schema: dict[str, Any], usual: float, *, step: float | None = None) -> float:
    """The usual number if it fits, else one that does. `step` is replaced by `multipleOf`."""
    low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    excluded = (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
    candidates = [each for each in (usual, (low + high) / 2, low, low + 1, high, high - 1) if math.isfinite(each)]
    if step := schema.get("multipleOf") or step:
        candidates = [step * rounded(each / step) for each in candidates for rounded in (math.floor, math.ceil)]
    for number in candidates:
        if low <= number <= high and number not in excluded:
            return number
    raise _NoValue
