"""`API_KEYS` as it is written: `name:secret` or `name:sha256:hex`, with commas between them."""

import re
from hashlib import sha256
from typing import Any

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHER_DIGEST = re.compile(r"(sha\d*|sha-\d+|md5|blake\w+)[:= -]+[0-9a-f]{32,}|\$\w+\$.+", re.IGNORECASE)
_NAME = re.compile(r"[\w.-]{1,64}")
_FORM = (
    "use name:secret or name:sha256:hex, with commas between them; a name has letters, digits, '.', '_' and '-', "
    "a secret is printable ASCII"
)


def digests(value: Any) -> Any:
    """The SHA-256 of each key, in hex, by its name. Raises ValueError, which does not quote a key."""
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    if not value:
        return found
    for entry in value.split(","):
        name, _, secret = (part.strip() for part in entry.strip().partition(":"))
        if not _NAME.fullmatch(name) or not secret or not (secret.isascii() and secret.isprintable()):
            raise ValueError(_FORM)
        known = _digest(name, secret)
        if name in found or known in found.values():
            raise ValueError(f"{_FORM}; '{name}' or its key is there twice")
        found[name] = known
    return found


def _digest(name: str, secret: str) -> str:
    kind, _, digest = secret.partition(":")
    if kind.strip().lower() in {"sha256", "sha-256"}:
        known = digest.strip().lower()
        if not _SHA256.fullmatch(known):
            raise ValueError(f"{_FORM}; the hex of '{name}' needs 64 digits")
        return known
    if _OTHER_DIGEST.fullmatch(secret):  # as a secret, the digest itself would be the key
        raise ValueError(f"{_FORM}; '{name}' has a digest in another form")
    return sha256(secret.encode()).hexdigest()
