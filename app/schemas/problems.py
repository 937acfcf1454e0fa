"""Turns pydantic's validation errors into one sentence: the field and the fix."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import InvalidRequest

_OF_ANOTHER_TYPE = {
    "model_type": "Input should be a valid dictionary or object",
    "list_type": "Input should be a valid list",
}


def invalid(problems: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """Returns the first problem as an error, with its field as `param`."""
    param = _param(problems[0])
    if problems[0]["type"] == "value_error":
        return InvalidRequest(problems[0]["msg"].removeprefix("Value error, "), param=param or None)
    if not param:
        return InvalidRequest("send a JSON object, with the header 'content-type: application/json'")
    # A union (text or list) has an error for each branch; one about the content is more precise than one about the
    # type.
    candidates = [each for each in problems if _param(each) == param or _param(each).startswith(param + ".")]
    of_content = [problem for problem in candidates if not problem["type"].endswith("_type")]
    fix = _fix(of_content[0]) if of_content else " or ".join(dict.fromkeys(_fix(each) for each in candidates))
    return InvalidRequest(f"{param}: {fix}", param=param)


def _param(problem: Mapping[str, Any]) -> str:
    """The field's path, such as `messages.0.role`, without pydantic's names for the branches of a union."""
    parts = [str(part) for part in problem["loc"]]
    return ".".join(part for part in parts if part != "str" and "[" not in part)


def _fix(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return 'this field is required, for example {"messages": [{"role": "user", "content": "Hello"}]}'
    return _OF_ANOTHER_TYPE.get(problem["type"], str(problem["msg"]))
