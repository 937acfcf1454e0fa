"""The six requests, and what came back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from app.core.models import RETIRED_MODELS

MODEL = "openai/gpt-oss-20b"
RETIRED = next(name for name in RETIRED_MODELS if name.startswith("llama-3.1"))
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "sunny": {"type": "boolean"}},
    "required": ["city", "sunny"],
    "additionalProperties": False,
}
_BUDGET_TOKENS = 300
"""Enough for some reasoning and a short answer: a tenth of a cent pays for a thousand of them."""
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """The error object. Raises ValueError, TypeError or KeyError."""
        error: dict[str, Any] = self.json["error"]
        return error

    @property
    def events(self) -> list[str]:
        """The data of each event. Raises ValueError for a line that is none."""
        lines = [line for line in self.text.splitlines() if line]
        if wrong := [line for line in lines if not line.startswith("data: ")]:
            raise ValueError(f"a line is no event: {wrong[0][:80]}")
        return [line.removeprefix("data: ") for line in lines]

    @property
    def chunks(self) -> list[Any]:
        """Raises ValueError."""
        if self.status != 200:
            raise ValueError(f"the answer was {self.status}: {self.text[:200]}")
        return [json.loads(event) for event in self.events if event != "[DONE]"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Groq answered to each request."""

    models: Reply
    stream: Reply
    whole: Reply
    retired: Reply
    """To a model that Groq has retired."""
    refused: Reply
    """To a streamed request for JSON."""
    unauthorized: Reply
    """To a wrong key."""


def ask(base_url: str, key: str) -> Evidence:
    """Raises httpx2.HTTPError."""
    with httpx2.Client(timeout=_TIMEOUT_S, headers={"authorization": f"Bearer {key}"}) as client:

        def chat(**body: Any) -> Reply:
            question = {"role": "user", "content": "Is it sunny in Paris? Guess, in JSON."}
            asked = {"model": MODEL, "messages": [question], "max_completion_tokens": _BUDGET_TOKENS}
            return _read(client.post(f"{base_url}/chat/completions", json=asked | body))

        schema = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": SCHEMA}}
        wrong = {"authorization": "Bearer wrong"}
        return Evidence(
            models=_read(client.get(f"{base_url}/models")),
            stream=chat(stream=True, stream_options={"include_usage": True}, reasoning_effort="low"),
            whole=chat(response_format=schema, reasoning_effort="low"),
            retired=chat(model=RETIRED),
            refused=chat(stream=True, response_format={"type": "json_object"}),
            unauthorized=_read(client.get(f"{base_url}/models", headers=wrong)),
        )


def _read(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.text)
