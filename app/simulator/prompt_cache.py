"""Groq's prompt cache: how much of a prompt was read before.

Groq's own finds any beginning that two prompts share, tries to, and forgets after two hours without use
(console.groq.com/docs/prompt-caching). This one compares whole messages, always finds them, and keeps the last few
thousand beginnings: the same requests in the same order have the same counts.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

_BLOCK_TOKENS = 128
"""Counts come in multiples of it: 1,536 in NeuralTrust/TrustGate, 1,920 in langchain-ai/langchain#33708, 3,584 in
vercel/ai#13192."""
_MOST_BEGINNINGS = 4096


def count_tokens(value: Any) -> int:
    """About four characters a token, and a few for each message's frame."""
    return _tokens(len(json.dumps(value, ensure_ascii=False)))


class PromptCache:
    """Hashes of the beginnings of prompts: the tools and the messages up to each of them."""

    def __init__(self) -> None:
        self._beginnings: OrderedDict[bytes, None] = OrderedDict()

    def cached_tokens(self, body: dict[str, Any]) -> int:
        """How many tokens of the prompt were read before, with the same beginning."""
        cached = max((tokens for digest, tokens in _beginnings(body) if digest in self._beginnings), default=0)
        return cached // _BLOCK_TOKENS * _BLOCK_TOKENS

    def remember(self, body: dict[str, Any]) -> None:
        """For a prompt that is answered."""
        for digest, _ in _beginnings(body):
            self._beginnings[digest] = None
            self._beginnings.move_to_end(digest)
        while len(self._beginnings) > _MOST_BEGINNINGS:
            self._beginnings.popitem(last=False)

    def forget(self) -> None:
        self._beginnings.clear()


def _beginnings(body: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
    """Each beginning that is long enough to be cached: its hash, and the tokens of its messages."""
    running = hashlib.blake2b(json.dumps([body["model"], body.get("tools")]).encode(), digest_size=16)
    characters = 0
    for message in body["messages"]:
        text = json.dumps(message, ensure_ascii=False)
        running.update(text.encode("utf-8", "surrogatepass") + b"\n")
        characters += len(text) + 2
        if (tokens := _tokens(characters)) >= _BLOCK_TOKENS:
            yield running.digest(), tokens


def _tokens(characters: int) -> int:
    return characters // 4 + 1
