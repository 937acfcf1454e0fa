"""A Redis server with a password and without persistence."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.tools import libraries, tool
from tests.support.waiting import wait_until

PASSWORD = "sentinel-of-a-password"
_START_S = 10


class RedisServer:
    """`url` is a value for `REDIS_URL`."""

    def __init__(self, folder: Path) -> None:
        self._program = tool("redis-server")
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Returns once it accepts commands."""
        options = {"port": self._port, "bind": "127.0.0.1", "requirepass": PASSWORD, "save": "", "dir": self._folder}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [self._program, *words], env=libraries(self._program), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        wait_until(self._answers, "Redis does not start", _START_S)

    def kill(self) -> None:
        """Like a crash: all data is lost."""
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stops the process: connections stay open without a response."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """A client to inspect the data. The caller closes it."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False


@contextmanager
def running(folder: Path) -> Iterator[RedisServer]:
    """A running server that tests may stop and freeze."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
