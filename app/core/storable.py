"""Makes text storable: NUL and unpaired surrogates become U+FFFD."""

from typing import Any

from msgspec import Raw


def storable(value: Any) -> Any:
    """Returns the value with storable text, in lists and mappings of any depth and in unparsed JSON (`Raw`).

    A surrogate pair that was split over two chunks becomes one character.
    """
    if isinstance(value, str):
        return value if value.isascii() and "\x00" not in value else _whole(value).replace("\x00", "\ufffd")
    if isinstance(value, Raw):
        return _without_nul(value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def _whole(text: str) -> str:
    try:
        text.encode()  # ten times faster than the conversion to UTF-16
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _without_nul(raw: Raw) -> Raw:
    """JSON without escaped NULs. It has no half pairs: a body with one is refused."""
    data = bytes(raw)
    if b"\\u0000" not in data:
        return raw
    # A NUL itself is not in JSON: it stands for an escaped backslash, as in `\\u0000`, which is six letters.
    data = data.replace(b"\\\\", b"\x00").replace(b"\\u0000", b"\\ufffd").replace(b"\x00", b"\\\\")
    return Raw(data)
