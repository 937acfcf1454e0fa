"""Makes text from clients and providers safe to print.

On a terminal, control characters would move the cursor, paint over other lines, or show a text in another order.
"""

_UNPRINTABLE = "\ufffd"


def printable(text: str) -> str:
    """The text on one line, with U+FFFD for each character that is not printable.

    Not printable are Unicode's categories C* (controls, formats with the bidirectional ones, surrogates, private use,
    unassigned) and Z* (line and paragraph separators, spaces other than U+0020).
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else _UNPRINTABLE for each in text)


def printable_lines(text: str) -> str:
    """The printable text of several lines; later ones are indented, so that none can be mistaken for a log line."""
    return "\n    ".join(printable(line) for line in text.split("\n"))


def printable_json(text: str) -> str:
    """The JSON on one line, with an escape for each character that is not printable."""
    return text if text.isprintable() else "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
