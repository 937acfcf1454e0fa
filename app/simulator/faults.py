"""The script of failures: `PUT /faults` with a list; each request takes the first fault that applies to it.

PUT /faults     {"faults": [{"status": 503, "times": 2}]}: two requests fail, then none
                {"seed": 7, "faults": [{"ending": "truncate", "after_tokens": 5, "probability": 0.1}]}
                {"faults": [{"endpoint": "models", "status": 404}]}: a Groq without a list of models
GET /faults     the script, and how often each fault was applied
DELETE /faults  no faults
"""

import random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_HeaderText = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=8000)]
_RateLimitHeader = Annotated[str, Field(pattern=r"^x-ratelimit-[a-z-]+$")]
_Delay = Annotated[float, Field(ge=0, le=3600)]


class Fault(BaseModel):
    """What goes wrong with one request."""

    model_config = ConfigDict(extra="forbid")

    times: int | None = Field(default=None, ge=1)
    """The number of requests that it applies to; without it, all."""
    probability: float = Field(default=1, ge=0, le=1)
    endpoint: Literal["chat", "models"] = "chat"
    """The requests that it applies to. The fields about tokens do not apply to a list of models."""
    model: str | None = None
    """Applies only to chats with this model."""

    status: int | None = Field(default=None, ge=400, le=599)
    """The HTTP status, which is sent with Groq's body for it."""
    error: dict[str, Any] | None = None
    """The error object instead of Groq's usual one: with `status`, or with `ending: error_event`."""
    body: str | None = None
    """The whole body instead of Groq's, with `status` or with 200."""
    content_type: _HeaderText | None = None
    """The content type instead of `application/json` or `text/event-stream`."""
    gzip: bool = False
    """Compress the body, whatever the client accepts."""
    retry_after_s: int | None = Field(default=None, ge=0)
    retry_after: _HeaderText | None = None
    """The value of the header: a date, a decimal, nonsense."""
    rate_limit_headers: dict[_RateLimitHeader, _HeaderText] = {}
    """Headers that replace the true ones; an empty value removes one."""

    first_byte_delay_s: _Delay = 0
    """The time before the headers are sent."""
    first_token_delay_s: _Delay = 0
    """The time between the opening chunk and the first token."""
    tokens_per_s: float | None = Field(default=None, gt=0)
    words: int | None = Field(default=None, ge=1, le=1_000_000)
    """The length of the answer in words; it does not change answers in JSON."""
    reasoning_words: int | None = Field(default=None, ge=0, le=1_000_000)
    """The length of the reasoning in words; with 0 there is none."""
    refusal: str | None = Field(default=None, min_length=1)
    """The text of a refusal to answer: `refusal` in the message, or in the deltas."""
    silence_s: _Delay = 0
    """How long nothing is sent after `after_tokens`."""

    after_tokens: int = Field(default=0, ge=0)
    """Tokens of the reasoning and the answer before the ending or the silence; with 0 it follows the opening chunk. A
    whole answer is cut at the same share of its body."""
    ending: Literal["error_event", "early_stop", "truncate", "eof", "no_done", "garbage"] | None = None
    """`error_event`: Groq's error, in band; a 400 for a whole answer. `early_stop`: a last chunk with the reason in
    `x_groq.error`. `truncate`: the connection breaks within an event. `eof`: the body ends cleanly, without a
    finish_reason. `no_done`: all but `[DONE]`. `garbage`: an event, or a body, that is not JSON."""
    hold_open_s: _Delay = 0
    """The time between the last byte and the end of the body."""

    patch: dict[str, Any] = {}
    """Values to set in the chunk with the finish_reason, those after it, and a whole answer, by path:
    `{"id": 123, "usage.prompt_tokens": 3.0, "x_groq.usage": [], "choices.0.delta.content": ["a"]}`. Missing objects are
    created, missing items of lists are not."""
    patch_every: dict[str, Any] = {}
    """Values to set in every chunk, by path, as in `patch`."""

    bytes_per_write: int | None = Field(default=None, ge=1)
    """The size of each write of the body, which also splits events and characters."""
    line_end: Literal["\n", "\r\n", "\r"] = "\n"


class FaultScript(BaseModel):
    """The faults in order of precedence, and the seed of their probabilities."""

    model_config = ConfigDict(extra="forbid")

    seed: int = 0
    faults: list[Fault] = []


class FaultPlan:
    """Applies the faults of a script to requests. The same script applies the same faults to the same requests."""

    def __init__(self, script: FaultScript) -> None:
        self._script = script
        self._applied = [0] * len(script.faults)
        self._rng = random.Random(script.seed)  # nosec B311

    def next(self, model: str | None, endpoint: str = "chat") -> Fault:
        """Return the fault of the next request, an empty one if nothing goes wrong."""
        for index, fault in enumerate(self._script.faults):
            if fault.endpoint != endpoint or fault.model not in (None, model):
                continue
            if fault.times is not None and self._applied[index] >= fault.times:
                continue
            if self._rng.random() < fault.probability:
                self._applied[index] += 1
                return fault
        return Fault()

    def report(self) -> dict[str, Any]:
        """Return the script, and how often each of its faults was applied."""
        return self._script.model_dump(exclude_unset=True) | {"applied": self._applied}
