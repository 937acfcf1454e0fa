"""The output of the commands on stdout, which may be a full disk or a pipe whose reader has ended."""

import os
import sys

from app.core.text import escaped


class OutputFailed(Exception):
    """stdout cannot be written. Its cause is the OSError, which a command could mistake for one of its own files."""

    @property
    def reader_ended(self) -> bool:
        """Whether stdout is a pipe without a reader, as in `make chats | head`."""
        return isinstance(self.__cause__, BrokenPipeError)


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
