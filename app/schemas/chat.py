"""The request of a chat: known fields are validated, and every field is sent to the provider as the client wrote it."""

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
from app.schemas.json_scan import JsonScan
from app.schemas.problems import invalid

_INTEGERS = ("max_tokens", "max_completion_tokens", "seed")
_NUMBERS = ("temperature", "top_p")
_NOT_FORWARDED = ("store", "safety_identifier")
"""Fields for this service. They are not sent to Groq, which refuses both."""
_MAX_END_USER = 512
"""The longest id of an end user: four times what OpenAI accepts, and less than the 2,700 bytes of an entry in
PostgreSQL's indexes."""


def _whole(value: Any) -> Any:
    """Converts 1.0 to 1: some languages write integers so, and Groq refuses them."""
    return int(value) if isinstance(value, float) and value % 1 == 0 else value


_Dropped = AfterValidator(lambda _: None)
"""Drops a value once it is validated: `body` has it as the client sent it."""
_Objects = Annotated[list[dict[str, Any]], Field(fail_fast=True)]
_Integer = Annotated[int, BeforeValidator(_whole)]
_Positive = Annotated[int, Field(ge=1), BeforeValidator(_whole)]


class Message(BaseModel):
    """One message. `content` is a text or a list of OpenAI's content parts."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str | _Objects | None, _Dropped] = None


class ChatRequest(BaseModel):
    """OpenAI's chat completion request. Without `stream` the response is one object."""

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
    stop: Annotated[str | Annotated[list[str], Field(max_length=4, fail_fast=True)] | None, _Dropped] = None
    seed: _Integer | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    tools: Annotated[Annotated[_Objects, Field(max_length=128)] | None, _Dropped] = None
    tool_choice: Annotated[str | dict[str, Any] | None, _Dropped] = None
    response_format: Annotated[dict[str, Any] | None, _Dropped] = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    stream_options: dict[str, Any] | None = None
    user: str | None = Field(default=None, max_length=_MAX_END_USER)
    safety_identifier: str | None = Field(default=None, max_length=_MAX_END_USER)
    store: bool | None = None
    """If false, the row of the chat has no content."""

    _body: dict[str, Any] = PrivateAttr(default_factory=dict)
    _prompt: str = PrivateAttr(default="")

    @field_validator("stream_options")
    @classmethod
    def _needs_stream(cls, options: dict[str, Any] | None, others: ValidationInfo) -> None:
        if options is not None and not others.data.get("stream"):
            raise ValueError("stream_options: only allowed with a stream; send 'stream': true")

    @classmethod
    def parse(cls, data: bytes, scan: JsonScan) -> Self:
        """Parses a body that `scan` has scanned. Raises InvalidRequest.

        Only the values that the service itself needs are converted to objects; the rest stays JSON text.
        """
        scan.check()
        data = data.removeprefix(codecs.BOM_UTF8)
        try:
            request = cls.model_validate_json(data)
            request._set_body(data)  # noqa: SLF001 - of this class
        except ValidationError as exc:
            problems = exc.errors(include_url=False, include_input=False)
            raise _json_error(data) if problems[0]["type"] == "json_invalid" else invalid(problems) from exc
        return request

    def _set_body(self, data: bytes) -> None:
        body: dict[str, Any] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        user_messages = (index for index in reversed(range(len(self.messages))) if self.messages[index].role == "user")
        if (last := next(user_messages, None)) is not None:
            self._prompt = _text_of(msgspec.json.decode(body["messages"], type=list[msgspec.Raw])[last])
        # Integers as pydantic has converted them (7.0 is 7), numbers as the client wrote them.
        plain = {name: getattr(self, name) for name in ("model", "stream", *_INTEGERS) if name in body}
        plain |= {name: msgspec.json.decode(body[name]) for name in _NUMBERS if name in body}
        self._body = body | plain

    @property
    def streams(self) -> bool:
        """Whether the client wants a stream."""
        return bool(self.stream)

    @property
    def body(self) -> Mapping[str, Any]:
        """What the client sent. Fields are unparsed JSON (`msgspec.Raw`), except the model, `stream`, and the numbers
        that telemetry reports.
        """
        return self._body

    @property
    def upstream_body(self) -> dict[str, Any]:
        """The body for the provider: without the fields that are for this service."""
        return {name: value for name, value in self._body.items() if name not in _NOT_FORWARDED}

    @property
    def end_user(self) -> str | None:
        """The person for whom the caller sends the request."""
        return self.safety_identifier or self.user or None

    @property
    def prompt(self) -> str:
        """The text of the last user message, without pictures and other parts; empty if there is none."""
        return self._prompt


class StreamRequest(ChatRequest):
    """The request of an endpoint that always streams."""

    stream: Literal[True] = True


class _Part(msgspec.Struct):
    text: Any = None


class _UserMessage(msgspec.Struct):
    """Of a field that occurs twice, pydantic has validated the last value only, and this has it, unparsed."""

    content: msgspec.Raw = msgspec.Raw(b"null")


_decode_content = msgspec.json.Decoder(str | list[_Part] | None).decode


def _text_of(message: msgspec.Raw) -> str:
    content = _decode_content(msgspec.json.decode(message, type=_UserMessage).content)
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or [] if isinstance(part.text, str))


def _json_error(data: bytes) -> InvalidRequest:
    """The reason and the position, from the standard library's parser."""
    try:
        json.loads(data.decode())
    except UnicodeDecodeError:
        return InvalidRequest("there was an error parsing the body; send JSON in UTF-8")
    except json.JSONDecodeError as exc:
        if not data.strip():
            return InvalidRequest("send a JSON object, with the header 'content-type: application/json'")
        return InvalidRequest(f"the body is not JSON: {exc.msg} at character {exc.pos}")
    except RecursionError:
        return InvalidRequest("the body is not JSON: it is nested too deep and not closed")
    return InvalidRequest("the body has an unpaired surrogate (\\ud800 to \\udfff)")


def hides_reasoning(fields: Mapping[str, Any]) -> bool:
    """Whether the model reasons in silence before its first token. `fields` are those of a request."""
    return decoded(fields.get("include_reasoning")) is False or decoded(fields.get("reasoning_format")) == "hidden"


def decoded(field: Any) -> Any:
    """The value of a field that may be JSON text, as the client wrote it."""
    return msgspec.json.decode(field) if isinstance(field, msgspec.Raw) else field
