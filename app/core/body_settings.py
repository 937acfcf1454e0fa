"""The settings of what a client may send."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from app.core.setting_types import Count, Seconds

MOST_MESSAGES = 10_000
"""No setting allows more: reading them would keep a worker's other streams waiting."""


class BodySettings(BaseSettings):
    """Part of the Settings, which stand in config.py."""

    max_body_bytes: Count = 4 * 2**20
    """4 MiB: a long conversation with a picture in it, and no more than a row should hold."""
    max_body_values: Annotated[int, Field(ge=1000)] = 100_000
    """JSON values of any kind in one request, which cost more than bytes: room for 10,000 messages of several parts. As
    many as this take 20 ms to validate, and 10 MB for that time."""
    max_body_bytes_in_flight: Count = Field(default=2**26, validate_default=True)
    """64 MiB of each worker, for all requests that are being sent or answered; half of it for one caller, at the most.
    That is 64 KiB for each of 512 streams. While its row is written, a request takes several times its size."""
    body_timeout_s: Seconds = 30
    """How long a client may take to send its request."""
    max_messages: Annotated[int, Field(gt=0, le=MOST_MESSAGES)] = 1000
    """In one request: more than fit a model's context, if each says something."""

    @field_validator("max_body_bytes_in_flight")
    @classmethod
    def _has_room_for_the_largest(cls, limit: int, others: ValidationInfo) -> int:
        if limit < (least := 2 * others.data.get("max_body_bytes", 0)):
            raise ValueError(f"use {least} or more, as one caller may take half of it, and MAX_BODY_BYTES has to fit")
        return limit
