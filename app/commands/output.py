"""The output of the commands. stdout may be a full disk, or a pipe whose reader has ended."""

import os
import sys
from collections.abc import Mapping

from app.core.text import escaped, printable


class OutputFailed(Exception):
    """stdout cannot be written. Its cause is the OSError, which a command could mistake for one of its own files."""

    @property
    def reader_ended(self) -> bool:
        """Whether stdout is a pipe without a reader, as in `make chats | head`."""
        return isinstance(self.__cause__, BrokenPipeError)


def fail(sentence: str, *, code: int = 1) -> int:
    """Print why a command cannot do what it is for, and return its exit code."""
    sys.stderr.write(f"{sentence}\n")
    return code


def first_line(exc: BaseException) -> str:
    """The first line of the driver's own message, where SQLAlchemy has wrapped it."""
    cause = getattr(exc, "orig", None) or exc
    cause = cause.__cause__ or cause
    return printable(str(cause).partition("\n")[0]) or type(cause).__name__


def table_row(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    """One line of a table, whose cells are cut and padded to the widths of their columns."""
    return "  ".join(f"{printable(cells[name])[:width]:<{width}}" for name, width in widths.items()).rstrip()


def show(text: str, *, end: str = "\n", flush: bool = False) -> None:
    """Prints a text, with `?` for characters that the output's encoding lacks. Raises OutputFailed."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "replace").decode(encoding), end=end, flush=flush)
    except OSError as exc:
        raise OutputFailed(exc.strerror) from exc


def show_json(text: str) -> None:
    """Prints JSON, with escapes for characters that the output's encoding lacks. Raises OutputFailed."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = "".join(each if each.isascii() else escaped(each) for each in text)
    show(text)


def flush_output() -> None:
    """Writes what is still in the buffer of stdout. Raises OutputFailed."""
    show("", end="", flush=True)


def discard_output() -> None:
    """Sends what is still in the buffer of stdout to nowhere: Python flushes once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
