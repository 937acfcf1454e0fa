"""What is asked for: how many users, for how long, in which shape, against what, with which faults."""

import argparse
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from loadtests.people.faults import FAULTS
from loadtests.people.shapes import SHAPES

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h)?")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600}
_MOST_USERS, _MOST_PROCESSES = 100_000, 64


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`host` is a service that runs already; without one, all is started here."""

    users: int
    seconds: int
    shape: str
    faults: tuple[str, ...]
    host: str | None
    web: bool
    processes: int
    words_per_s: float


class _Parser(argparse.ArgumentParser):
    """What is wrong is one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, message.removeprefix("argument ") + "\n")


def plan(arguments: Sequence[str] | None = None) -> Plan:
    """Exits with 2 and a sentence if it makes no sense."""
    parser = _Parser(prog="python -m loadtests.people", description="Users that read like people, by locust.")
    parser.add_argument("--users", default="100", help="the most there are at once (default: %(default)s)")
    parser.add_argument("--duration", default="60s", help="such as 90s, 10m or 1h (default: %(default)s)")
    parser.add_argument("--shape", default="steady", help=f"one of {_list(SHAPES)} (default: %(default)s)")
    parser.add_argument("--faults", default="", help=f"what the simulator does wrong: some of {_list(FAULTS)}")
    parser.add_argument("--host", default="", help="a service that runs already; its key is taken from API_KEY")
    parser.add_argument("--web", default="", help="1: with locust's page, which stays until Ctrl-C")
    parser.add_argument("--processes", default="1", help="of locust (default: %(default)s)")
    parser.add_argument("--words-per-s", type=float, default=4, help="how fast they read (default: %(default)g)")
    options = parser.parse_args(arguments)
    try:
        return _checked(options)
    except ValueError as exc:
        parser.error(str(exc))


def _checked(options: argparse.Namespace) -> Plan:
    """Raises ValueError with the sentence."""
    faults = tuple(name for name in options.faults.replace(" ", ",").split(",") if name)
    if options.shape not in SHAPES:
        raise ValueError(f"SHAPE is one of {_list(SHAPES)}, and not '{options.shape}'.")
    if unknown := [name for name in faults if name not in FAULTS]:
        raise ValueError(f"FAULTS are some of {_list(FAULTS)}, and not '{unknown[0]}'.")
    if options.host and not re.match(r"https?://[^/]", options.host):
        raise ValueError(f"HOST is an address such as http://127.0.0.1:8000, and not '{options.host}'.")
    if options.host and faults:
        raise ValueError("FAULTS are those of the simulator that is started here: leave HOST out.")
    if not options.words_per_s > 0:
        raise ValueError("Users read more than 0 words a second.")
    return Plan(
        users=_count("USERS", options.users, _MOST_USERS),
        seconds=_seconds(options.duration),
        shape=options.shape,
        faults=faults,
        host=options.host.rstrip("/") or None,
        web=options.web not in ("", "0"),
        processes=_count("PROCESSES", options.processes, _MOST_PROCESSES),
        words_per_s=options.words_per_s,
    )


def _count(name: str, text: str, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"{name} is a number from 1 to {most}, and not '{text}'.")
    return int(text)


def _seconds(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"DURATION is a time such as 90s, 10m or 1h, and not '{text}'.")
    return int(found[1]) * _UNITS[found[2]]


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
