"""The models that clients may name, in OpenAI's field names."""

from typing import Literal

from pydantic import BaseModel

from app.core.config import Settings


class Model(BaseModel):
    """`created` is when it came into being, which the price list does not tell: 0."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "groq"


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


def models_of(settings: Settings) -> list[Model]:
    """Those of the price list, their aliases, and the one of a request that names none: if callers may ask for them."""
    names = {settings.groq_default_model, *settings.model_prices, *settings.groq_model_aliases}
    return [Model(id=name) for name in sorted(names) if settings.serves(name)]
