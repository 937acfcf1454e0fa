"""OpenAI's model object and list of models."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """One model, with the fields that Groq's catalogue adds, such as `pricing` and `context_length`.

    `created` is 0 if Groq's catalogue has not been read.
    """

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "groq"


class ModelList(BaseModel):
    """The list of models."""

    object: Literal["list"] = "list"
    data: list[Model]


def model_object(model_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The provider's object, completed with the fields that OpenAI's clients expect."""
    known = {name: value for name, value in fields.items() if value is not None or name not in Model.model_fields}
    return {"object": "model", "created": 0, "owned_by": "groq"} | known | {"id": model_id}
