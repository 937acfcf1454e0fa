"""Groq may quote our key where it speaks of it. What Groq says goes to the caller, so the key is taken out of it."""

import msgspec

from app.chat.block import Block
from app.core.errors import ServiceError

_AT_LEAST = 12
"""Shorter keys are a simulator's: they may be words of the message."""
_INSTEAD = "(the key of this service)"


class Secret:
    """The key, and how it stays one."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._is_one = len(key) >= _AT_LEAST

    def hide_in(self, error: ServiceError) -> None:
        """In all that the error will tell."""
        if self._is_one:
            error.message = error.message.replace(self._key, _INSTEAD)
            error.args = (error.message,)
            if error.said is not None:
                error.said = msgspec.json.decode(self._hidden_in_json(msgspec.json.encode(error.said)))

    def hide_in_block(self, block: Block) -> None:
        """In its error, or in why Groq stopped early, which the client reads in the last chunk as well."""
        if block.error is not None:
            self.hide_in(block.error)
        if block.early_stop and self._is_one:
            block.early_stop = block.early_stop.replace(self._key, _INSTEAD)
            block.data = self._hidden_in_json(block.data)

    def _hidden_in_json(self, data: bytes) -> bytes:
        return data.replace(msgspec.json.encode(self._key)[1:-1], _INSTEAD.encode())
