"""Removes the service's own key from what Groq sends about it: error messages are passed on to clients."""

import msgspec

from app.core.errors import ServiceError
from app.services.chat.block import Block

_MIN_KEY_LENGTH = 12
"""Shorter keys are not replaced: they are a simulator's, and may be ordinary words of a message."""
_REPLACEMENT = "(the key of this service)"


class Redactor:
    """Replaces one key wherever Groq quotes it."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._is_secret = len(key) >= _MIN_KEY_LENGTH

    def redact_error(self, error: ServiceError) -> None:
        """Replaces the key in the message, and in Groq's own error object."""
        if self._is_secret:
            error.message = error.message.replace(self._key, _REPLACEMENT)
            error.args = (error.message,)
            if error.upstream_error_body is not None:
                redacted = self._redacted_json(msgspec.json.encode(error.upstream_error_body))
                error.upstream_error_body = msgspec.json.decode(redacted)

    def redact_block(self, block: Block) -> None:
        """Replaces the key in the error, and in the reason of an early stop, which `data` contains too."""
        if block.error is not None:
            self.redact_error(block.error)
        if block.early_stop and self._is_secret:
            block.early_stop = block.early_stop.replace(self._key, _REPLACEMENT)
            block.data = self._redacted_json(block.data)

    def _redacted_json(self, data: bytes) -> bytes:
        return data.replace(msgspec.json.encode(self._key)[1:-1], _REPLACEMENT.encode())
