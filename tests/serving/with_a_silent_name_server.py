"""The service where one name is looked up without an answer, until the file that `NAME_SERVER` names is there."""

import os
import socket
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.main import create_app as create_whole_app

NAME = "silent.test"

_getaddrinfo = socket.getaddrinfo


def _slowly(host: Any, *args: Any, **options: Any) -> Any:
    if host == NAME:
        while not Path(os.environ["NAME_SERVER"]).exists():
            time.sleep(0.05)
        host = "127.0.0.1"
    return _getaddrinfo(host, *args, **options)


def create_app() -> FastAPI:
    """With the environment's settings."""
    socket.getaddrinfo = _slowly
    return create_whole_app()
