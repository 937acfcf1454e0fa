"""`python -m app`: the service with one command, and the few commands beside it."""

import argparse
import gc
import re
import signal
import sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.output import OutputFailed, discard_output, fail, flush_output
from app.core.outcomes import WITHOUT_ROW, Outcome

if TYPE_CHECKING:
    from app.core.config import Settings

_INTERRUPTED = 128 + signal.SIGINT
_MOST_CHATS = 100_000
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NUMBER = re.compile("[1-9][0-9]{0,3}")


def main() -> int:
    """Returns the exit code: 0, 1 for a failure, 2 for invalid arguments or settings, 130 for Ctrl-C.

    At Ctrl-C while it serves, the service stops as at SIGTERM, and the code is 0.
    """
    try:
        return _main()
    except KeyboardInterrupt:
        return _INTERRUPTED


def _main() -> int:
    options = _parser().parse_args()
    serves = options.command in (None, "run")
    # Not above: this import is a large part of the start, and Ctrl-C during it prints no traceback either.
    from app.serving.checks import outbox_problems, read_and_check  # noqa: PLC0415

    settings, problems = read_and_check(serves=serves)
    if settings is None or problems:
        # All problems at once. Without any other, `run` checks the outbox itself.
        problems += outbox_problems(settings) if settings and serves else []
        return fail("\n".join(problems), code=2)
    if sys.stdout is None and not serves:
        return fail("stdout is closed; redirect it to a file, or to /dev/null")
    try:
        code = _run(settings, **vars(options))
        if sys.stdout is not None:
            flush_output()
    except OutputFailed as exc:
        discard_output()
        return 0 if exc.reader_ended else fail(f"cannot write to stdout: {exc}")
    return code


def _run(settings: "Settings", *, command: str | None, **arguments: Any) -> int:
    """Each command is the function with its name in the module with its name.

    A module is imported when its command runs: `chats` does not wait for the openai SDK.
    """
    name = (command or "run").replace("-", "_")
    if name == "run":
        gc.disable()  # until the server runs: imports make objects that stay
    function = getattr(import_module(f"app.commands.{name}"), name)
    code: int = function(settings, **arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Groq's chat completions, streamed.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    run = commands.add_parser("run", help="serve, with its own database and simulated Groq where none is set (default)")
    run.add_argument("--reload", action="store_true", help="restart when a file of the package changes")
    commands.add_parser("migrate", help="bring the database in DATABASE_URL up to date")
    prune = commands.add_parser("prune", help="delete old chats, or those of an end user")
    which = prune.add_mutually_exclusive_group(required=True)
    which.add_argument("--older-than", type=_age, metavar="AGE", help="such as 36h, 90d or 12w")
    help_text = "a request's safety_identifier or user; also in the outbox"
    which.add_argument("--end-user", type=_text, metavar="ID", help=help_text)
    _add_chats(commands.add_parser("chats", help="show stored chats, newest first"))
    live = commands.add_parser("live", help="show the running chats of this machine's workers, every second")
    live.add_argument("--once", action="store_true", help="print them once")
    trace = commands.add_parser("trace", help="draw the last chat's trace")
    trace.add_argument("wanted", nargs="?", metavar="id", help="of another chat, or of a trace")
    outbox = commands.add_parser("outbox", help="list the rows that wait for the database, and those that it rejected")
    action = outbox.add_mutually_exclusive_group()
    action.add_argument("--retry", action="store_true", help="let the service try rejected rows again")
    action.add_argument("--claim", action="store_true", help="assign rows for other databases to DATABASE_URL")
    action.add_argument("--export", action="store_true", help="print all rows as JSON lines, with prompts and answers")
    action.add_argument("--import", type=Path, dest="source", metavar="PATH", help="add the rows of JSON lines")
    commands.add_parser("check-groq", help="compare a live Groq with what this version assumes about it")
    return parser


def _add_chats(chats: argparse.ArgumentParser) -> None:
    chats.add_argument("--json", action="store_true", help="one JSON object a line, with every column")
    chats.add_argument("--limit", type=_count, metavar="N", help="how many (default: 10; all for --end-user --json)")
    outcomes = sorted(map(str, set(Outcome) - WITHOUT_ROW))
    chats.add_argument("--outcome", choices=outcomes, metavar="OUTCOME", help="such as upstream_error")
    chats.add_argument("--error-code", type=_text, metavar="CODE", help="the error that the client received")
    chats.add_argument("--since", type=_age, metavar="AGE", help="such as 30m, 36h, 90d or 12w")
    chats.add_argument("--model", type=_text, help="the model that answered")
    chats.add_argument("--client", type=_text, help="the name of an API key")
    chats.add_argument("--end-user", type=_text, metavar="ID", help="a request's safety_identifier or user")


def _text(text: str) -> str:
    """Refuses bytes that are not UTF-8, which Python has made surrogates of: a database cannot encode them."""
    if not text or any("\ud800" <= character <= "\udfff" for character in text):
        raise argparse.ArgumentTypeError("give a text in UTF-8 that is not empty")
    return text


def _age(text: str) -> timedelta:
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not _NUMBER.fullmatch(number):
        raise argparse.ArgumentTypeError(f"'{text}' is no age; give one such as 30m, 36h, 90d or 12w")
    return timedelta(**{unit: int(number)})


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_CHATS:
        raise argparse.ArgumentTypeError(f"give a number from 1 to {_MOST_CHATS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
