"""The script of failures: `PUT /faults` with a list; each request takes the first fault that applies to it.

PUT /faults     {"faults": [{"status": 503, "times": 2}]}: two requests fail, then all is well
                {"seed": 7, "faults": [{"ending": "truncate", "after_tokens": 5, "probability": 0.1}]}
                {"faults": [{"endpoint": "models", "status": 404}]}: a Groq without a list of models
GET /faults     the script, and how often each fault has struck
DELETE /faults  all is well
"""

import random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_HeaderText = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=8000)]
_RateLimitHeader = Annotated[str, Field(pattern=r"^x-ratelimit-[a-z-]+$")]
_Delay = Annotated[float, Field(ge=0, le=3600)]


class Fault(BaseModel):
    """What goes wrong with one request. Fields that are not set go right."""

    model_config = ConfigDict(extra="forbid")

    times: int | None = Field(default=None, ge=1)
    """For how many requests; without it, for all."""
    probability: float = Field(default=1, ge=0, le=1)
    endpoint: Literal["chat", "models"] = "chat"
    """For which requests. A list of models has headers and a body, and nothing of what is said of tokens below."""
    model: str | None = None
    """Only for chats with this model."""

    status: int | None = Field(default=None, ge=400, le=599)
    """Answer with this HTTP status, and with the body that Groq sends with it."""
    error: dict[str, Any] | None = None
    """The error object to send instead of Groq's usual one: with `status`, or with `ending: error_event`."""
    body: str | None = None
    """The whole body, as it stands here, instead of Groq's: with `status`, or with 200."""
    content_type: _HeaderText | None = None
    """Of whatever is sent, instead of `application/json` or `text/event-stream`."""
    gzip: bool = False
    """Compress what is sent, whether the client wants that or not."""
    retry_after_s: int | None = Field(default=None, ge=0)
    retry_after: _HeaderText | None = None
    """The header as it stands here: a date, a decimal, nonsense."""
    rate_limit_headers: dict[_RateLimitHeader, _HeaderText] = {}
    """These instead of the true ones; an empty text leaves one out."""

    first_byte_delay_s: _Delay = 0
    """Before the headers."""
    first_token_delay_s: _Delay = 0
    """Between the opening chunk and the first token."""
    tokens_per_s: float | None = Field(default=None, gt=0)
    words: int | None = Field(default=None, ge=1, le=1_000_000)
    """Answer in so many words, but for JSON."""
    reasoning_words: int | None = Field(default=None, ge=0, le=1_000_000)
    """Reason in so many words; with 0 not at all, whatever the model and the request say."""
    refusal: str | None = Field(default=None, min_length=1)
    """Refuse to answer, in these words: `refusal` in the message, or in the deltas."""
    silence_s: _Delay = 0
    """Say nothing for so long, after `after_tokens`; then go on."""

    after_tokens: int = Field(default=0, ge=0)
    """How many tokens go out before the ending, or the silence: of the reasoning and of the answer. With 0 they come
    right after the opening chunk. An answer in one object is cut where its body has come to the same share."""
    ending: Literal["error_event", "early_stop", "truncate", "eof", "no_done", "garbage"] | None = None
    """`error_event`: Groq's own error, in band; a 400 where the answer is one object. `early_stop`: a last chunk that
    says why in `x_groq.error`. `truncate`: the connection breaks within an event. `eof`: the body ends cleanly, without
    a finish_reason. `no_done`: all but `[DONE]`. `garbage`: an event, or a body, that is not JSON."""
    hold_open_s: _Delay = 0
    """Leave the connection open for so long after the last byte, before the body ends: with `no_done`, or without."""

    patch: dict[str, Any] = {}
    """Values to set in the chunk with the finish_reason, those after it, and an answer in one object. A name is a path:
    `{"id": 123, "usage.prompt_tokens": 3.0, "x_groq.usage": [], "choices.0.delta.content": ["a"]}`. What is missing on
    the way is made, but for items of lists: there the path is left."""
    patch_every: dict[str, Any] = {}
    """The same, in every chunk."""

    bytes_per_write: int | None = Field(default=None, ge=1)
    """Split what is sent into writes of so many bytes, through events and characters alike."""
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

    def next(self, model: str | None, endpoint: str = "chat") -> Fault:
        """What goes wrong with the next request; an empty fault if nothing does."""
        for index, fault in enumerate(self._script.faults):
            if fault.endpoint != endpoint or fault.model not in (None, model):
                continue
            if fault.times is not None and self._struck[index] >= fault.times:
                continue
            if self._rng.random() < fault.probability:
                self._struck[index] += 1
                return fault
        return Fault()

    def report(self) -> dict[str, Any]:
        """The script as it was given, and how often each of its faults has struck."""
        return self._script.model_dump(exclude_unset=True) | {"struck": self._struck}
