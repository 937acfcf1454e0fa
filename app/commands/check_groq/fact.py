"""One thing that is assumed about Groq, and the names that the lists of them share."""

from dataclasses import dataclass
from enum import StrEnum

from app.commands.check_groq.findings import Check

DOCS = "console.groq.com/docs"


class About(StrEnum):
    """The headings of docs/groq.md, in their order."""

    MODELS = "Models and prices"
    STREAM = "A stream"
    WHOLE = "An answer in one object"
    ERRORS = "Errors"
    REFUSED = "What is refused with 400"
    LIMITS = "Rate limits and the prompt cache"


class Tests(StrEnum):
    """The files of the tests that notice a change."""

    WIRE = "tests/simulator/test_wire.py"
    REFUSALS = "tests/simulator/test_refusals.py"
    LIMITS = "tests/simulator/test_limits.py"
    MODELS = "tests/simulator/test_models.py"
    JSON = "tests/simulator/test_json.py"
    FAULTS = "tests/simulator/test_faults.py"
    COST = "tests/api/test_cost.py"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """`seen` is the date of the newest source. Without a `check` it is not asked for, as that takes more requests."""

    about: About
    name: str
    says: str
    seen: str
    sources: tuple[str, ...]
    test: str
    check: Check | None = None
