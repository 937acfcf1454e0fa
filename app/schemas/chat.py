"""The body of a chat request: known fields are validated, others travel to Groq as they are."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from app.core.config import MOST_MESSAGES

_MAX_DEPTH = 64
_TOO_DEEP = f"the body is nested more than {_MAX_DEPTH} levels deep"
_as_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode
_INTEGERS = ("max_tokens", "max_completion_tokens", "seed")


class Message(BaseModel):
    """One turn of the conversation; `content` is a text or a list of OpenAI's content parts."""

    model_config = ConfigDict(extra="allow", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None

    def text(self) -> str:
        """The words of this turn, without pictures and other parts."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part["text"] for part in self.content or [] if isinstance(part.get("text"), str))


class ChatRequest(BaseModel):
    """OpenAI's chat completion request: without `stream`, it is answered with one object."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        json_schema_extra={"examples": [{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}]},
    )

    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1, max_length=MOST_MESSAGES)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | Annotated[list[str], Field(max_length=4, fail_fast=True)] | None = None
    seed: int | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = Field(default=None, max_length=128)
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    stream_options: dict[str, Any] | None = None
    user: str | None = None
    store: bool | None = None
    """False: the row of this chat has no content."""

    _body: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("stream_options")
    @classmethod
    def _is_of_a_stream(cls, options: dict[str, Any] | None, others: ValidationInfo) -> dict[str, Any] | None:
        if options is not None and not others.data.get("stream"):
            raise ValueError("stream_options: they are for a stream; send 'stream': true with them")
        return options

    @model_validator(mode="wrap")
    @classmethod
    def _can_travel(cls, asked: Any, validated: ModelWrapValidatorHandler[Self]) -> Self:
        """What cannot be written as JSON, or not be kept in a row, is refused before it costs anything."""
        if isinstance(asked, dict):
            asked = _with_integers(asked)
        request = validated(asked)
        if isinstance(asked, dict):
            _check(asked)
            request._body = asked  # noqa: SLF001 - its own
        return request

    @property
    def streams(self) -> bool:
        """Whether the client wants the answer as it comes."""
        return bool(self.stream)

    @property
    def body(self) -> Mapping[str, Any]:
        """What the client sent, and nothing that it did not."""
        return self._body

    @property
    def upstream_body(self) -> dict[str, Any]:
        """What Groq is sent of it: `store` is for this service, and Groq refuses it."""
        return {name: value for name, value in self._body.items() if name != "store"}

    def prompt(self) -> str:
        """The last user message, as text; empty where there is none."""
        return next((message.text() for message in reversed(self.messages) if message.role == "user"), "")


class StreamRequest(ChatRequest):
    """The same, for an endpoint that always streams."""

    stream: Literal[True] = True


def _with_integers(body: dict[str, Any]) -> dict[str, Any]:
    """JSON knows one kind of number, and some languages write a whole one as 1.0; Groq takes it as 1 alone."""
    whole = {name: int(body[name]) for name in _INTEGERS if isinstance(body.get(name), float) and body[name] % 1 == 0}
    return {**body, **whole} if whole else body


def _check(body: dict[str, Any]) -> None:
    """Raises ValueError for what is no JSON, or nested too deep."""
    try:
        written = _as_json(body).encode()
    except RecursionError as exc:
        raise ValueError(_TOO_DEEP) from exc
    except UnicodeEncodeError as exc:
        raise ValueError("the body holds half of a surrogate pair (\\ud800 to \\udfff)") from exc
    except ValueError as exc:
        raise ValueError("the body holds a number that is none in JSON, or too large (NaN, Infinity, 1e999)") from exc
    brackets = written.count(b"[") + written.count(b"{")
    if brackets > _MAX_DEPTH and sum(1 for _ in _levels(body)) > _MAX_DEPTH:
        raise ValueError(_TOO_DEEP)


def _levels(value: Any) -> Iterator[list[Any]]:
    """What is in it, level by level."""
    level = [value]
    while level:
        yield level
        level = [child for each in level for child in _children(each)]


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
