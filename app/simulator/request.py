"""What Groq takes.

Stated once more, apart from the service's own view: a simulator that shared it would agree with its mistakes.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_Positive = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Function(_Strict):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(_Strict):
    type: Literal["function"]
    function: _Function


class _NamedFunction(_Strict):
    name: str


class _ToolChoice(_Strict):
    type: Literal["function"]
    function: _NamedFunction


class _StreamOptions(_Strict):
    include_usage: bool | None = None


class _Message(_Strict):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


class GroqRequest(_Strict):
    """The fields that the simulator reads, or that Groq refuses when they are out of range."""

    messages: Annotated[list[_Message], Field(min_length=1, fail_fast=True)]
    max_tokens: _Positive | None = None
    max_completion_tokens: _Positive | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Literal[1] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: Annotated[list[_Tool], Field(max_length=128, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_format: Literal["raw", "parsed", "hidden"] | None = None
    include_reasoning: bool | None = None
