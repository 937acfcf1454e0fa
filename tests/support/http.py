"""HTTP clients for services of this machine."""

from typing import Any

import httpx2


def client(timeout_s: float = 30, **options: Any) -> httpx2.Client:
    """A client with connections of its own.

    Nothing here speaks TLS: reading the system's certificates would take 30 ms of each test.
    """
    return httpx2.Client(timeout=timeout_s, trust_env=False, verify=False, **options)
