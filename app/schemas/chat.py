"""The body of a chat request: known fields are validated, others travel to Groq as they are."""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

_MAX_DEPTH = 64


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
    """OpenAI's chat completion request. This endpoint always streams."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        json_schema_extra={"examples": [{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}]},
    )

    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    stream: Literal[True] = True
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

    _body: dict[str, Any] = PrivateAttr()

    @model_validator(mode="after")
    def _can_travel(self) -> Self:
        """What cannot be written as JSON, or not be kept in a row, is refused before it costs anything."""
        self._body = self.model_dump(exclude_unset=True)
        for depth, level in enumerate(_levels(self._body)):
            if depth == _MAX_DEPTH:
                raise ValueError(f"the body is nested more than {_MAX_DEPTH} levels deep")
            if any(isinstance(each, float) and not isfinite(each) for each in level):
                raise ValueError("the body holds a number that is none in JSON, or too large (NaN, Infinity, 1e999)")
        try:
            msgspec.json.encode(self._body)
        except UnicodeEncodeError as exc:
            raise ValueError("the body holds half of a surrogate pair (\\ud800 to \\udfff)") from exc
        return self

    @property
    def body(self) -> Mapping[str, Any]:
        """What the client sent, and nothing that it did not."""
        return self._body

    def prompt(self) -> str:
        """The last user message, as text; empty where there is none."""
        return next((message.text() for message in reversed(self.messages) if message.role == "user"), "")


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
