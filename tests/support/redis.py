"""A real Redis for the tests, with a password, that forgets everything when it is killed."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.tools import libraries, tool

PASSWORD = "a-password-that-nobody-else-may-see"
_START_S = 10


class RedisServer:
    """`url` is what `REDIS_URL` takes."""

    def __init__(self, folder: Path) -> None:
        self._program = tool("redis-server")
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        options = {"port": self._port, "bind": "127.0.0.1", "requirepass": PASSWORD, "save": "", "dir": self._folder}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [self._program, *words], env=libraries(self._program), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """As a crash would: it keeps nothing."""
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections, takes new ones, and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """To look inside; who asks closes it."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False


@contextmanager
def running(folder: Path) -> Iterator[RedisServer]:
    """One that the test may hurt."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
