"""Fields of log lines, as an index sees them."""

import json
from collections import defaultdict
from typing import Any

from tests.observability.conftest import Observed
from tests.support.raw import exchange
from tests.support.service import SimulatedGroq


def kind(value: Any) -> str:
    """The type that an index gives a field; an array has that of its elements."""
    if isinstance(value, list):
        return "/".join(sorted({kind(each) for each in value}))
    return "number" if type(value) in (int, float) else type(value).__name__


def test_field_has_one_type_in_all_lines(observed: Observed, groq: SimulatedGroq) -> None:
    """An index refuses a line whose field has another type, or is both a value and an object."""
    observed.chat()
    groq.fail({"after_tokens": 5, "ending": "truncate"})
    observed.chat()
    observed.chat({"messages": []})
    exchange(observed.url, b"\x00\r\n\r\n")
    assert observed.program.line(lambda line: '"connection.refused"' in line)
    types: dict[str, set[str]] = defaultdict(set)
    for line in observed.program.lines:
        if line.startswith("{"):
            for field, value in json.loads(line).items():
                types[field] |= {kind(value)} - {"NoneType", ""}
    assert {"client_address", "outcome", "error_code"} <= types.keys()
    assert {field: kinds for field, kinds in types.items() if len(kinds) > 1} == {}
    assert {field for field in types if any(other.startswith(f"{field}.") for other in types)} == set()
