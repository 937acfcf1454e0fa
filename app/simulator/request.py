"""What a request may contain, and how Groq refuses others. docs/groq.md has the sources.

Groq's words are used where a public source shows them; comments mark the others. This is deliberately stated apart
from the service's own view of a request: shared code would share its mistakes.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from app.simulator.answers import asks_for_json
from app.simulator.errors import Refused
from app.simulator.models import DECOMMISSIONED, MODELS, Model

_SDK = (
    "citation_options compound_custom disable_tool_validation documents exclude_domains frequency_penalty "
    "function_call functions include_domains include_reasoning logit_bias logprobs max_completion_tokens max_tokens "
    "messages metadata model n parallel_tool_calls presence_penalty reasoning_effort reasoning_format response_format "
    "search_settings seed service_tier stop store stream temperature tool_choice tools top_logprobs top_p user"
)
PROPERTIES = frozenset(_SDK.split()) | {"stream_options"}
"""The fields of a request: those of groq-python 1.7.0 (`completion_create_params.py`), and `stream_options`."""

_NOT_WITH_ANY_MODEL = frozenset({"logprobs", "top_logprobs", "logit_bias", "metadata", "store"})
_ANY_ROLE = {"role", "content"}
_MESSAGE_PROPERTIES = {
    "system": _ANY_ROLE,
    "developer": _ANY_ROLE,
    "user": _ANY_ROLE,
    "assistant": _ANY_ROLE | {"tool_calls", "function_call", "reasoning"},
    "tool": _ANY_ROLE | {"tool_call_id", "name"},
    "function": _ANY_ROLE | {"name"},
}
_Effort = Literal["none", "default", "low", "medium", "high"]
_Positive = Annotated[int, Field(ge=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]


class _StrictTypes(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Function(_StrictTypes):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(_StrictTypes):
    type: Literal["function"]
    function: _Function


class _StreamOptions(_StrictTypes):
    include_usage: bool | None = None


class _Message(_StrictTypes):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


class _JsonSchema(_StrictTypes):
    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")] = {}


class _PlainFormat(_StrictTypes):
    type: Literal["text", "json_object"]


class _SchemaFormat(_StrictTypes):
    type: Literal["json_schema"]
    json_schema: _JsonSchema


class _Fields(_StrictTypes):
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
    tool_choice: Literal["none", "auto", "required"] | _Tool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: _Effort | None = None
    reasoning_format: Literal["raw", "parsed", "hidden"] | None = None
    include_reasoning: bool | None = None
    response_format: Annotated[_PlainFormat | _SchemaFormat, Field(discriminator="type")] | None = None
    service_tier: Literal["auto", "on_demand", "flex", "performance"] | None = None


def check_key(request: Request) -> None:
    """Raises Refused. Any key is right but `wrong`."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or key.strip() in ("", "wrong"):
        raise Refused(401, "Invalid API Key", code="invalid_api_key")


def _known_model(name: Any) -> Model:
    """Raises Refused for a model that was retired or never existed."""
    if isinstance(name, str) and name in MODELS:
        return MODELS[name]
    if isinstance(name, str) and name in DECOMMISSIONED:
        message = (
            f"The model `{name}` has been decommissioned and is no longer supported. Please refer to "
            "https://console.groq.com/docs/deprecations for a recommendation on which model to use instead."
        )
        raise Refused(400, message, code="model_decommissioned")
    message = f"The model `{name}` does not exist or you do not have access to it."
    raise Refused(404, message, code="model_not_found")


async def checked_body(request: Request) -> dict[str, Any]:
    """Return the body if Groq would accept it. Raises Refused."""
    check_key(request)
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise Refused(400, "could not parse the JSON body") from None  # our words
    if not isinstance(body, dict):
        raise Refused(400, "the body must be a JSON object")  # our words
    model = _known_model(body.get("model"))
    _check_fields(body)
    _check_json(body)
    _check_reasoning(body, model)
    for name in ("max_completion_tokens", "max_tokens"):
        if (body.get(name) or 0) > model.max_output:
            message = (
                f"`{name}` must be less than or equal to `{model.max_output}`, the maximum value for `{name}` is less "
                "than the `context_window` for this model"
            )
            raise Refused(400, message, param=name)
    return body


def _check_fields(body: dict[str, Any]) -> None:
    """Checks the names and types of fields, and the names of the messages' fields."""
    for name, value in body.items():
        if name not in PROPERTIES:
            raise Refused(400, f"property '{name}' is unsupported")
        if name in _NOT_WITH_ANY_MODEL and value is not None and (name, value) != ("logprobs", False):
            raise _unsupported_by_model(name)
    try:
        _Fields.model_validate(body)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field, message = ".".join(str(part) for part in problem["loc"]), problem["msg"]
        if field == "reasoning_effort":
            message = f"value is not one of the allowed values {[*get_args(_Effort)]}"
        raise Refused(400, f"'{field}' : {message}") from None
    for number, message in enumerate(body["messages"]):
        for name in message:
            if name not in _MESSAGE_PROPERTIES[message["role"]]:
                why = f"for 'role:{message['role']}' the following must be satisfied"
                where = f"'messages.{number}'"
                raise Refused(400, f"{where} : {why}[({where} : property '{name}' is unsupported)]")


def _check_json(body: dict[str, Any]) -> None:
    if not asks_for_json(body):
        return
    if body.get("stream"):
        raise Refused(400, "response_format` does not support streaming")  # with one backtick
    if body.get("tools"):
        raise Refused(400, "json mode cannot be combined with tool/function calling")
    is_plain = body["response_format"]["type"] == "json_object"
    if is_plain and "json" not in str([message.get("content") for message in body["messages"]]).lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise Refused(400, message)


def _check_reasoning(body: dict[str, Any], model: Model) -> None:
    effort, shown_as = body.get("reasoning_effort"), body.get("reasoning_format")
    if shown_as is not None and body.get("include_reasoning") is not None:
        raise Refused(400, "cannot specify both `include_reasoning` and `reasoning_format`")
    for name, value in (("reasoning_format", shown_as), ("reasoning_effort", effort)):
        if value is not None and not model.efforts:
            raise _unsupported_by_model(name)
    if shown_as == "raw" and (body.get("tools") or asks_for_json(body)):
        raise Refused(400, "`reasoning_format` must be `parsed` or `hidden` with tools or JSON mode")  # our words
    if effort is not None and effort not in model.efforts:
        *others, last = (f"`{each}`" for each in model.efforts)  # for `none` with gpt-oss: our words
        comma = "," if len(others) > 1 else ""
        raise Refused(400, f"`reasoning_effort` must be one of {', '.join(others)}{comma} or {last}")


def _unsupported_by_model(name: str) -> Refused:
    return Refused(400, f"`{name}` is not supported with this model", param=name)
