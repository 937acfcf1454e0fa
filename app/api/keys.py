"""Who may ask: the keys of `API_KEYS`. Without any, the service is open, and its callers have no names."""

import hmac
from hashlib import sha256

from app.core.errors import Unauthorized


class ApiKeys:
    """Knows its keys by their SHA-256 alone."""

    def __init__(self, digests: dict[str, str]) -> None:
        self._names = {bytes.fromhex(digest): name for name, digest in digests.items()}

    def name_of(self, authorization: str | None) -> str | None:
        """The name of the key in an `Authorization` header; None where no keys are asked for. Raises Unauthorized."""
        if not self._names:
            return None
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized("send a key of this service: 'Authorization: Bearer <key>'")
        digest = sha256(key.strip().encode()).digest()
        found = None
        for known, name in self._names.items():  # all of them, so that the time taken tells nothing
            if hmac.compare_digest(known, digest):
                found = name
        if found is None:
            raise Unauthorized("this service does not know the key that was sent")
        return found
