"""HTTP clients for services on this machine."""

from typing import Any

import httpx2


def client(timeout_s: float = 30, **options: Any) -> httpx2.Client:
    """Without TLS: loading the system's certificates takes 30 ms."""
    return httpx2.Client(timeout=timeout_s, trust_env=False, verify=False, **options)
