"""Free ports, reserved among all test processes of this user."""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

# Below the kernel's ephemeral ports, which outgoing connections could take before a server restarts.
_FIRST, _LAST = 10_000, 32_000
_random = random.SystemRandom()
_given: set[int] = set()
"""The ports of this process: its own locks do not exclude it, and its servers may not listen yet."""


def free_ports(count: int) -> int:
    """The first of `count` consecutive free ports, reserved until this process ends."""
    while True:
        first = _random.randrange(_FIRST, _LAST - count)
        ports = range(first, first + count)
        if not _given.isdisjoint(ports):
            continue
        with ExitStack() as stack, suppress(OSError):
            for port in ports:
                _reserve(port)
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            _given.update(ports)
            return first


def free_port() -> int:
    return free_ports(1)


def listens(port: int) -> bool:
    """Whether a server accepts connections at the port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _reserve(port: int) -> None:
    """Raises OSError if another process of this user has reserved it.

    Between the choice of a port and the start of its server, other test processes choose theirs.
    """
    fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)


@cache
def _reservations() -> int:
    """A file with a byte for each port. A lock ends with its process."""
    path = Path(tempfile.gettempdir()) / f"chat-test-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
