"""What Groq refuses with 400, 401 and 404, in its own words where a public source shows them.

The source of each refusal stands beside it. Where no source shows the words, a comment says so.
"""

from typing import Any

from pydantic import ValidationError
from starlette.requests import Request

from app.simulator.answers import asks_for_json
from app.simulator.models import DECOMMISSIONED, MODELS, Model
from app.simulator.refusals import INVALID_KEY, Refused
from app.simulator.request import MESSAGE_PROPERTIES, PROPERTIES, GroqRequest
from app.simulator.wire import error_body

_NOT_WITH_ANY_MODEL = frozenset({
    # Groq's page on OpenAI compatibility (console.groq.com/docs/openai); the words are those of groq/groq-python#25.
    # Yet gosh-sh/dexdo has recorded an answer of qwen3-32b with logprobs, of 2026-08-04.
    "logprobs",
    "top_logprobs",
    "logit_bias",
    # groq-python 1.7.0 declares both as "not currently supported". `metadata` was refused in these words in April 2026
    # (skye-harris/hass_local_openai_llm#59). `store` was an unknown property in December 2024 (fanenr/chatbot#21); no
    # source shows today's words, and none an answer to it.
    "metadata",
    "store",
})  # fmt: skip
_EFFORTS = "['none', 'default', 'low', 'medium', 'high']"


def check_key(request: Request) -> None:
    """Raises Refused. Any key is right but `wrong`."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or key.strip() in ("", "wrong"):
        raise Refused(401, INVALID_KEY)  # ag5826000/resume-commentor#4


async def checked_body(request: Request) -> dict[str, Any]:
    """The body, if Groq would take it. Raises Refused."""
    check_key(request)
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise _bad("could not parse the JSON body") from None
    if not isinstance(body, dict):
        raise _bad("the body must be a JSON object")
    model = known_model(body.get("model"))
    _check_properties(body)
    _check_types(body)
    _check_messages(body)
    _check_json(body)
    _check_reasoning(body, model)
    _check_budget(body, model)
    return body


def known_model(name: Any) -> Model:
    """Raises Refused for one that was retired, or never was."""
    if isinstance(name, str) and name in MODELS:
        return MODELS[name]
    if isinstance(name, str) and name in DECOMMISSIONED:
        message = (
            f"The model `{name}` has been decommissioned and is no longer supported. Please refer to "
            "https://console.groq.com/docs/deprecations for a recommendation on which model to use instead."
        )
        raise _bad(message, code="model_decommissioned")
    # ITSpecialist111/ai_automation_suggester#187, 2026-08-18
    message = f"The model `{name}` does not exist or you do not have access to it."
    raise Refused(404, error_body(message, code="model_not_found"))


def _check_properties(body: dict[str, Any]) -> None:
    """Groq ignores nothing that it does not know: CherryHQ/cherry-studio#11435 (`verbosity`),
    immersive-translate#3016 (`chat_template_kwargs`), mnfst/modelparams.dev#114 (`top_k`).
    """
    for name, value in body.items():
        if name not in PROPERTIES:
            raise _bad(f"property '{name}' is unsupported")
        is_off = value is None or (name == "logprobs" and value is False)
        if name in _NOT_WITH_ANY_MODEL and not is_off:
            raise _unsupported_by_model(name)


def _check_types(body: dict[str, Any]) -> None:
    try:
        GroqRequest.model_validate(body)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        # earendil-works/pi#3764
        says = f"value is not one of the allowed values {_EFFORTS}" if field == "reasoning_effort" else problem["msg"]
        raise _bad(f"'{field}' : {says}") from None


def _check_messages(body: dict[str, Any]) -> None:
    """agentjido/req_llm#772 (`reasoning_content`), run-llama/llama_index#14701, odysseus-dev/odysseus#40."""
    for number, message in enumerate(body["messages"]):
        role, place = message["role"], f"'messages.{number}'"
        for name in message:
            if name not in MESSAGE_PROPERTIES[role]:
                why = f"({place} : property '{name}' is unsupported)"
                raise _bad(f"{place} : for 'role:{role}' the following must be satisfied[{why}]")


def _check_json(body: dict[str, Any]) -> None:
    if not asks_for_json(body):
        return
    if body.get("stream"):
        # langchain-ai/langchain#23629, BerriAI/litellm#4804, with this one backtick. They are about `json_object`; of
        # `json_schema` Groq's page on structured outputs says the same (jgravelle/GroqApiLibrary#33, 2026-07), and no
        # source shows the words. TanStack/ai#527 (2026-05) streams it from Groq, and does not say that it was tried.
        raise _bad("response_format` does not support streaming")
    if body.get("tools"):
        raise _bad("json mode cannot be combined with tool/function calling")  # vercel/ai#16540, 2026-07
    is_plain = body["response_format"]["type"] == "json_object"
    if is_plain and "json" not in str([message.get("content") for message in body["messages"]]).lower():
        # vercel/ai#7303
        says = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise _bad(says)


def _check_reasoning(body: dict[str, Any], model: Model) -> None:
    effort, shown_as = body.get("reasoning_effort"), body.get("reasoning_format")
    if shown_as is not None and body.get("include_reasoning") is not None:
        # Ravishka17/AskLab-AI-Bot, GPT_OSS_FIX.md; groq-python 1.7.0 says that they exclude each other.
        raise _bad("cannot specify both `include_reasoning` and `reasoning_format`")
    if shown_as is not None and not model.reasons:
        # 0xPlaygrounds/rig#1134. For gpt-oss sources disagree: GPT_OSS_FIX.md above says that it takes no format,
        # traceloop/openllmetry#4488 reads answers to `parsed`. It is taken.
        raise _unsupported_by_model("reasoning_format")
    if shown_as == "raw" and (body.get("tools") or asks_for_json(body)):
        # console.groq.com/docs/reasoning promises a 400; no source shows the words.
        raise _bad("`reasoning_format` must be `parsed` or `hidden` with tools or JSON mode")
    if effort is not None and not model.reasons:
        raise _unsupported_by_model("reasoning_effort")  # iamsrikanthnani/pluely#242
    if effort is not None and effort not in model.efforts:
        # Alishahryar1/free-claude-code#1348 for Qwen; DataTalksClub/llm-zoomcamp#183 says that gpt-oss refuses `none`,
        # in words that no source shows.
        *others, last = (f"`{each}`" for each in model.efforts)
        comma = "," if len(others) > 1 else ""
        raise _bad(f"`reasoning_effort` must be one of {', '.join(others)}{comma} or {last}")


def _check_budget(body: dict[str, Any], model: Model) -> None:
    """Alishahryar1/free-claude-code#1354, 2026-08-07."""
    for name in ("max_completion_tokens", "max_tokens"):
        if (body.get(name) or 0) > model.max_output:
            message = (
                f"`{name}` must be less than or equal to `{model.max_output}`, the maximum value for `{name}` is less "
                "than the `context_window` for this model"
            )
            raise _bad(message, param=name)


def _unsupported_by_model(name: str) -> Refused:
    return _bad(f"`{name}` is not supported with this model", param=name)


def _bad(message: str, **beside: Any) -> Refused:
    return Refused(400, error_body(message, **beside))
