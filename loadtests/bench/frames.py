"""Groq's answer as bytes, rendered once and sent many times; each event is one chunk of HTTP.

The last event's `id` carries three times of the upstream's, in nanoseconds of `time.monotonic_ns`, which every
process of a machine shares: when it was asked, when it sent the first token, when it sent the end. Every contender
hands ids on.
"""

import json
import re
from functools import lru_cache
from typing import Any

_HEAD = b"\r\n".join(
    [
        b"HTTP/1.1 200 OK",
        b"content-type: text/event-stream",
        b"cache-control: no-cache",
        b"x-request-id: req_01kbench000000000000000000",
        b"x-ratelimit-limit-requests: 14400",
        b"x-ratelimit-remaining-requests: 14399",
        b"x-ratelimit-reset-requests: 6s",
        b"x-ratelimit-limit-tokens: 300000",
        b"x-ratelimit-remaining-tokens: 299958",
        b"x-ratelimit-reset-tokens: 8.4ms",
        b"transfer-encoding: chunked",
        b"",
        b"",
    ]
)
_DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
_STAMPS = re.compile(rb'"id":"chatcmpl-(\d+)-(\d+)-(\d+)"')
_TOKEN = re.compile(rb'"content":" (\d+)"')


@lru_cache
def frames(tokens: int) -> list[bytes]:
    """The head with the role's event, then an event for each token: the number that it is."""
    opening = _chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_01kbench000000000000000000"})
    return [_HEAD + opening, *(_chunk({"content": f" {number}"}) for number in range(tokens))]


def ending(tokens: int, asked_ns: int, first_ns: int, ended_ns: int) -> bytes:
    """The last event, with usage, and `[DONE]`."""
    usage = {
        "queue_time": 0.01,
        "prompt_tokens": 42,
        "prompt_time": 0.002,
        "completion_tokens": tokens,
        "completion_time": 0.5,
        "total_tokens": tokens + 42,
        "total_time": 0.502,
    }
    x_groq = {"id": "req_01kbench000000000000000000", "usage": usage}
    return _chunk({}, stamps=f"{asked_ns}-{first_ns}-{ended_ns}", finish_reason="stop", x_groq=x_groq) + _DONE


def stamps(body: bytes) -> tuple[float, float, float] | None:
    """The upstream's times, in seconds: asked, first token, end."""
    found = _STAMPS.search(body, max(0, len(body) - 2000))
    return found and (int(found[1]) / 1e9, int(found[2]) / 1e9, int(found[3]) / 1e9)


def in_order(body: bytes, tokens: int) -> bool:
    """Whether every token is there, once, one after the other."""
    return _TOKEN.findall(body) == _numbers(tokens)


@lru_cache
def _numbers(tokens: int) -> list[bytes]:
    return [str(number).encode() for number in range(tokens)]


def _chunk(delta: dict[str, str], *, stamps: str = "5d1c7a2e", finish_reason: str | None = None, **more: Any) -> bytes:
    event = {
        "id": f"chatcmpl-{stamps}",
        "object": "chat.completion.chunk",
        "created": 1_768_953_600,
        "model": "openai/gpt-oss-20b",
        "system_fingerprint": "fp_76307ac09b",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        **more,
    }
    data = b"data: %s\n\n" % json.dumps(event, separators=(",", ":")).encode()
    return b"%x\r\n%s\r\n" % (len(data), data)
