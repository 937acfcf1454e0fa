"""The six requests, and Groq's answers; reading what an answer lacks raises KeyError, TypeError or ValueError."""

import json
from dataclasses import dataclass
from typing import Any

import httpx2

from app.core.models import RETIRED_MODELS

RETIRED = next(name for name in RETIRED_MODELS if name.startswith("llama-3.1"))
_TIMEOUT_S = 60
_CHAT = {
    "model": "openai/gpt-oss-20b",
    "messages": [{"role": "user", "content": "Is it sunny in Paris? Guess, in JSON."}],
    "max_completion_tokens": 300,  # enough for some reasoning and a short text, for about 0.01 cents
}
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "sunny": {"type": "boolean"}},
    "required": ["city", "sunny"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Replies:
    """Groq's answers to the six requests."""

    models: httpx2.Response
    stream: httpx2.Response
    whole: httpx2.Response
    retired: httpx2.Response
    streamed_json: httpx2.Response
    unauthorized: httpx2.Response

    @property
    def entries(self) -> dict[str, Any]:
        """The listed models by id."""
        return {entry["id"]: entry for entry in _content(self.models)["data"]}

    @property
    def events(self) -> list[str]:
        lines = [line for line in self.stream.text.splitlines() if line]
        if self.stream.status_code != 200 or not all(line.startswith("data: ") for line in lines):
            raise ValueError(f"this is no stream of events: {text_of(self.stream)}")
        return [line.removeprefix("data: ") for line in lines]

    @property
    def chunks(self) -> list[Any]:
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def answer(self) -> Any:
        """The answer that was not streamed."""
        return _content(self.whole)


def _content(reply: httpx2.Response) -> Any:
    if reply.status_code != 200:
        raise ValueError(text_of(reply))
    return reply.json()


def text_of(reply: httpx2.Response) -> str:
    return f"{reply.status_code}: {reply.text[:300]}"


def ask(base_url: str, key: str) -> Replies:
    """Raises httpx2.HTTPError."""
    with httpx2.Client(timeout=_TIMEOUT_S, headers={"authorization": f"Bearer {key}"}) as client:

        def chat(**fields: Any) -> httpx2.Response:
            return client.post(f"{base_url}/chat/completions", json=_CHAT | fields)

        schema = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": _SCHEMA}}
        return Replies(
            models=client.get(f"{base_url}/models"),
            stream=chat(stream=True, stream_options={"include_usage": True}, reasoning_effort="low"),
            whole=chat(response_format=schema, reasoning_effort="low"),
            retired=chat(model=RETIRED),
            streamed_json=chat(stream=True, response_format={"type": "json_object"}),
            unauthorized=client.get(f"{base_url}/models", headers={"authorization": "Bearer wrong"}),
        )
