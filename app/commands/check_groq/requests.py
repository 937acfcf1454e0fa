"""The six requests, and Groq's answers; reading what an answer lacks raises KeyError, TypeError or ValueError."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from app.core.models import RETIRED_MODELS

RETIRED = next(name for name in RETIRED_MODELS if name.startswith("llama-3.1"))
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "sunny": {"type": "boolean"}},
    "required": ["city", "sunny"],
    "additionalProperties": False,
}
_MODEL = "openai/gpt-oss-20b"
_MAX_TOKENS = 300
"""The limit of each answer: enough for some reasoning and a short text, for about 0.01 cents."""
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[str]:
        lines = [line for line in self.text.splitlines() if line]
        if wrong := [line for line in lines if not line.startswith("data: ")]:
            raise ValueError(f"a line is no event: {wrong[0][:80]}")
        return [line.removeprefix("data: ") for line in lines]

    @property
    def chunks(self) -> list[Any]:
        if self.status != 200:
            raise ValueError(f"the answer was {self}")
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def entries_by_id(self) -> dict[str, Any]:
        if self.status != 200:
            raise ValueError(str(self))
        return {entry["id"]: entry for entry in self.json["data"]}

    @property
    def rate_limits(self) -> str:
        return ", ".join(f"{name}: {value}" for name, value in self.headers.items() if "ratelimit" in name)

    def unless_error(self, status: int, **fields: str) -> str | None:
        """Return None if this is an error of this status whose object has these fields."""
        return None if self.status == status and self.json["error"].items() >= fields.items() else str(self)

    def __str__(self) -> str:
        return f"{self.status}: {self.text[:300]}"


@dataclass(frozen=True, slots=True)
class Replies:
    """Groq's answers to the six requests."""

    models: Reply
    stream: Reply
    whole: Reply
    retired: Reply
    streamed_json: Reply
    unauthorized: Reply


def ask(base_url: str, key: str) -> Replies:
    """Raises httpx2.HTTPError."""
    with httpx2.Client(timeout=_TIMEOUT_S, headers={"authorization": f"Bearer {key}"}) as client:

        def chat(**fields: Any) -> Reply:
            question = {"role": "user", "content": "Is it sunny in Paris? Guess, in JSON."}
            body = {"model": _MODEL, "messages": [question], "max_completion_tokens": _MAX_TOKENS} | fields
            return _reply(client.post(f"{base_url}/chat/completions", json=body))

        schema = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": _SCHEMA}}
        return Replies(
            models=_reply(client.get(f"{base_url}/models")),
            stream=chat(stream=True, stream_options={"include_usage": True}, reasoning_effort="low"),
            whole=chat(response_format=schema, reasoning_effort="low"),
            retired=chat(model=RETIRED),
            streamed_json=chat(stream=True, response_format={"type": "json_object"}),
            unauthorized=_reply(client.get(f"{base_url}/models", headers={"authorization": "Bearer wrong"})),
        )


def _reply(response: httpx2.Response) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.text)
