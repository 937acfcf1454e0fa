"""OpenAI's client for the service under test, with its key and usual arguments."""

from typing import Any

from openai import OpenAI

from tests.support.service import Service

KEY, OTHER_KEY = "a-key-of-ours", "a-key-of-others"
MODEL, REASONING = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
HI: Any = [{"role": "user", "content": "Hello"}]
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {}}}}}
    for name in ("weather", "news")
]


def authorized(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


HEADERS = authorized(KEY)


def openai_client(service: Service, *, key: str = KEY, retries: int = 0) -> OpenAI:
    """The SDK with only its base URL, its key and its retries set."""
    return OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=retries)
