"""What Groq takes.

Stated once more, apart from the service's own view: a simulator that shared it would agree with its mistakes.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_Positive = Annotated[int, Field(ge=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]

_SDK = (
    "citation_options compound_custom disable_tool_validation documents exclude_domains frequency_penalty "
    "function_call functions include_domains include_reasoning logit_bias logprobs max_completion_tokens max_tokens "
    "messages metadata model n parallel_tool_calls presence_penalty reasoning_effort reasoning_format response_format "
    "search_settings seed service_tier stop store stream temperature tool_choice tools top_logprobs top_p user"
)
PROPERTIES = frozenset(_SDK.split()) | {"stream_options"}
"""Those of groq-python 1.7.0 (`completion_create_params.py`), which lacks `stream_options` alone."""

_ALL = {"role", "content"}
MESSAGE_PROPERTIES = {
    "system": _ALL,
    "developer": _ALL,
    "user": _ALL,
    "assistant": _ALL | {"tool_calls", "function_call", "reasoning"},
    "tool": _ALL | {"tool_call_id", "name"},
    "function": _ALL | {"name"},
}
"""By role. Sources disagree about `name`: console.groq.com/docs/openai refuses it in any message, groq-python 1.7.0 has
it in most, and people use it with `tool` (community.groq.com, feature request 239). It is refused as documented, but
where a source shows its use."""


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


class _JsonSchema(_Strict):
    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")] = {}


class _PlainFormat(_Strict):
    type: Literal["text", "json_object"]


class _SchemaFormat(_Strict):
    type: Literal["json_schema"]
    json_schema: _JsonSchema


class GroqRequest(_Strict):
    """The fields that the simulator reads, or that Groq refuses when they are out of range."""

    messages: Annotated[list[_Message], Field(min_length=1, fail_fast=True)]
    max_tokens: _Positive | None = None
    max_completion_tokens: _Positive | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    n: Literal[1] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: Annotated[list[_Tool], Field(max_length=128, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "default", "low", "medium", "high"] | None = None
    reasoning_format: Literal["raw", "parsed", "hidden"] | None = None
    include_reasoning: bool | None = None
    response_format: Annotated[_PlainFormat | _SchemaFormat, Field(discriminator="type")] | None = None
    service_tier: Literal["auto", "on_demand", "flex", "performance"] | None = None
