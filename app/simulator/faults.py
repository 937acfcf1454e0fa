"""The script of failures: `PUT /faults` with a list; each request takes the first fault that applies to it.

PUT /faults     {"faults": [{"status": 503, "times": 2}]}: two requests fail, then all is well
                {"seed": 7, "faults": [{"ending": "truncate", "after_tokens": 5, "probability": 0.1}]}
GET /faults     the script, and how often each fault has struck
DELETE /faults  all is well
"""

import random
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """What goes wrong with one request. Fields that are not set go right."""

    model_config = ConfigDict(extra="forbid")

    times: int | None = Field(default=None, ge=1)
    """For how many requests; without it, for all."""
    probability: float = Field(default=1, ge=0, le=1)
    model: str | None = None
    """Only for requests for this model."""

    status: int | None = Field(default=None, ge=400, le=599)
    """Answer with this HTTP status, and with the body that Groq sends with it."""
    error: dict[str, Any] | None = None
    """The error object to send instead of Groq's usual one: with `status`, or with `ending: error_event`."""
    retry_after_s: int | None = Field(default=None, ge=0)

    first_byte_delay_s: float = Field(default=0, ge=0, le=3600)
    """Before the headers."""
    first_token_delay_s: float = Field(default=0, ge=0, le=3600)
    """Between the opening chunk and the first token."""
    tokens_per_s: float | None = Field(default=None, gt=0)
    words: int | None = Field(default=None, ge=1, le=1_000_000)
    """Answer in so many words."""
    silence_s: float = Field(default=0, ge=0, le=3600)
    """Say nothing for so long, after `after_tokens`; then go on."""

    after_tokens: int = Field(default=0, ge=0)
    """How many tokens go out before the ending, or the silence."""
    ending: Literal["error_event", "early_stop", "truncate", "eof", "no_done", "garbage"] | None = None
    """`error_event`: Groq's own error, in band. `early_stop`: a last chunk that says why in `x_groq.error`. `truncate`:
    the connection breaks within an event. `eof`: the body ends cleanly, without a finish_reason. `no_done`: all but
    `[DONE]`. `garbage`: an event that is not JSON."""

    bytes_per_write: int | None = Field(default=None, ge=1)
    """Split the stream into writes of so many bytes, through events and characters alike."""
    line_end: Literal["\n", "\r\n", "\r"] = "\n"


class FaultScript(BaseModel):
    """The faults, in the order in which they are considered, and the seed of their chances."""

    model_config = ConfigDict(extra="forbid")

    seed: int = 0
    faults: list[Fault] = []


class FaultPlan:
    """Deals the faults of a script out to requests."""

    def __init__(self) -> None:
        self.load(FaultScript())

    def load(self, script: FaultScript) -> None:
        """Starts a script from its beginning: the same script meets the same requests with the same faults."""
        self._script = script
        self._struck = [0] * len(script.faults)
        self._rng = random.Random(script.seed)  # nosec B311

    def next(self, model: str) -> Fault:
        """What goes wrong with the next request; an empty fault if nothing does."""
        for index, fault in enumerate(self._script.faults):
            if fault.model not in (None, model) or (fault.times is not None and self._struck[index] >= fault.times):
                continue
            if self._rng.random() < fault.probability:
                self._struck[index] += 1
                return fault
        return Fault()

    def report(self) -> dict[str, Any]:
        """The script as it was given, and how often each of its faults has struck."""
        return self._script.model_dump(exclude_unset=True) | {"struck": self._struck}
