"""Ports that nobody listens on."""

import random
import socket
from contextlib import ExitStack, suppress

# Kernels lend the ports above to outgoing connections: one of those could be gone when its server starts again.
_FIRST, _LAST = 10_000, 32_000
_random = random.SystemRandom()


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = _random.randrange(_FIRST, _LAST - count)
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def free_port() -> int:
    return free_ports(1)
