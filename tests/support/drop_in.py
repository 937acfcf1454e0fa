"""What the tests of the drop-in ask for, and with which key."""

from typing import Any

from openai import OpenAI

from tests.support.service import Service

KEY = "a-key-of-ours"
HEADERS = {"authorization": f"Bearer {KEY}"}
MODEL, REASONING = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
HI: Any = [{"role": "user", "content": "Hello"}]
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {}}}}}
    for name in ("weather", "news")
]


def client_of(service: Service, *, key: str = KEY, retries: int = 0) -> OpenAI:
    """OpenAI's own, with nothing changed but the address and the key."""
    return OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=retries)
