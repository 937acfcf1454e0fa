"""Text that can be stored and sent: everything but NUL and half surrogate pairs, which become U+FFFD."""

from typing import Any


def storable(value: Any) -> Any:
    """The same value, in texts, lists and mappings of any depth.

    Two halves of a pair that meet, as when an emoji came in two pieces, are one character again.
    """
    if isinstance(value, str):
        return value if value.isascii() and "\x00" not in value else _whole(value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def _whole(text: str) -> str:
    utf16 = text.encode("utf-16", "surrogatepass")
    return utf16.decode("utf-16", "replace").replace("\x00", "\ufffd")
