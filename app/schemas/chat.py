"""The body of a chat request: known fields are validated, and all of them travel to Groq as the client wrote them."""

import codecs
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from app.core.errors import InvalidRequest
from app.core.http_settings import MOST_MESSAGES
from app.schemas.problems import invalid
from app.schemas.skeleton import Skeleton

_INTEGERS = ("max_tokens", "max_completion_tokens", "seed")
_NUMBERS = ("temperature", "top_p")


def _whole(value: Any) -> Any:
    """JSON knows one kind of number, and some languages write a whole one as 1.0; Groq takes it as 1 alone."""
    return int(value) if isinstance(value, float) and value % 1 == 0 else value


_Unread = AfterValidator(lambda _: None)
"""Validated, and then dropped: the body has it, as it came."""
_Objects = Annotated[list[dict[str, Any]], Field(fail_fast=True)]
_Integer = Annotated[int, BeforeValidator(_whole)]
_Positive = Annotated[int, BeforeValidator(_whole), Field(ge=1)]


class Message(BaseModel):
    """One turn of the conversation; `content` is a text or a list of OpenAI's content parts."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str | _Objects | None, _Unread] = None


class ChatRequest(BaseModel):
    """OpenAI's chat completion request: without `stream`, it is answered with one object."""

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        json_schema_extra={"examples": [{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}]},
    )

    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1, max_length=MOST_MESSAGES)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: _Positive | None = None
    max_completion_tokens: _Positive | None = None
    stop: Annotated[str | Annotated[list[str], Field(max_length=4, fail_fast=True)] | None, _Unread] = None
    seed: _Integer | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    tools: Annotated[Annotated[_Objects, Field(max_length=128)] | None, _Unread] = None
    tool_choice: Annotated[str | dict[str, Any] | None, _Unread] = None
    response_format: Annotated[dict[str, Any] | None, _Unread] = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    stream_options: dict[str, Any] | None = None
    user: str | None = None
    store: bool | None = None
    """False: the row of this chat has no content."""

    _body: dict[str, Any] = PrivateAttr(default_factory=dict)
    _asked: msgspec.Raw | None = PrivateAttr(default=None)

    @field_validator("stream_options")
    @classmethod
    def _is_of_a_stream(cls, options: dict[str, Any] | None, others: ValidationInfo) -> None:
        if options is not None and not others.data.get("stream"):
            raise ValueError("stream_options: they are for a stream; send 'stream': true with them")

    @classmethod
    def parse(cls, data: bytes, skeleton: Skeleton) -> Self:
        """`skeleton` has been fed the data. Raises InvalidRequest.

        Nothing of the data is copied or kept as objects but what the service itself reads.
        """
        skeleton.check()
        data = data.removeprefix(codecs.BOM_UTF8)
        try:
            request = cls.model_validate_json(data)
            request._read(data)  # noqa: SLF001 - its own
        except ValidationError as exc:
            problems = exc.errors(include_url=False, include_input=False)
            raise _not_json(data) if problems[0]["type"] == "json_invalid" else invalid(problems) from exc
        return request

    def _read(self, data: bytes) -> None:
        body: dict[str, Any] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        turns = (index for index in reversed(range(len(self.messages))) if self.messages[index].role == "user")
        if (last := next(turns, None)) is not None:
            self._asked = msgspec.json.decode(body["messages"], type=list[msgspec.Raw])[last]
        plain = {name: getattr(self, name) for name in ("model", "stream", *_INTEGERS) if name in body}
        plain |= {name: msgspec.json.decode(body[name]) for name in _NUMBERS if name in body}
        self._body = body | plain

    @property
    def streams(self) -> bool:
        """Whether the client wants the answer as it comes."""
        return bool(self.stream)

    @property
    def body(self) -> Mapping[str, Any]:
        """What the client sent, and nothing that it did not: each field is as it was written (`msgspec.Raw`), but for
        the model, `stream`, and the numbers that telemetry names.
        """
        return self._body

    @property
    def upstream_body(self) -> dict[str, Any]:
        """What Groq is sent of it: `store` is for this service, and Groq refuses it."""
        return {name: value for name, value in self._body.items() if name != "store"}

    def prompt(self) -> str:
        """The last user message, as text, without pictures and other parts; empty where there is none."""
        if self._asked is None:
            return ""
        content = msgspec.json.decode(self._asked, type=_Turn).content
        if isinstance(content, str):
            return content
        return "\n".join(part.text for part in content or [] if isinstance(part.text, str))


class StreamRequest(ChatRequest):
    """The same, for an endpoint that always streams."""

    stream: Literal[True] = True


class _Part(msgspec.Struct):
    text: Any = None


class _Turn(msgspec.Struct):
    content: str | list[_Part] | None = None


def _not_json(data: bytes) -> InvalidRequest:
    """Says why, in the words of the standard library, whose parser knows where."""
    try:
        json.loads(data.decode())
    except UnicodeDecodeError:
        return InvalidRequest("there was an error parsing the body; send JSON in UTF-8")
    except json.JSONDecodeError as exc:
        if not data.strip():
            return InvalidRequest("send a JSON object, with the header 'content-type: application/json'")
        return InvalidRequest(f"the body is not JSON: {exc.msg} at character {exc.pos}")
    except RecursionError:
        return InvalidRequest("the body is not JSON: it is nested too deep, and not closed")
    return InvalidRequest("the body holds half of a surrogate pair (\\ud800 to \\udfff)")
