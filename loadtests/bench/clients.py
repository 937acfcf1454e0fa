"""The clients: plain sockets, one for each stream at a time, kept open from chat to chat."""

import heapq
import random
import selectors
import socket
import time
from collections.abc import Callable

from loadtests.bench.answer import Answer, Chat
from loadtests.bench.load import Load
from loadtests.bench.seen import Seen

_READ = 2**15  # more would have its buffer mapped and unmapped for every read
_HUNG_S = 30
_WATCH_S = 0.25


class Client:
    """One connection, with one chat at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_HUNG_S)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = Answer(0)

    def ask(self, request: bytes) -> None:
        self.answer = Answer(time.monotonic())
        self.socket.send(request)  # a kilobyte on an idle connection: it fits


class Crowd:
    """Asks for all chats of a load. `watch` is called a few times a second meanwhile."""

    def __init__(
        self, address: tuple[str, int], path: str, load: Load, watch: Callable[[], object] = lambda: None
    ) -> None:
        self._address = address
        self._load = load
        self._watch = watch
        self._request = load.request(f"{address[0]}:{address[1]}", path)
        self._rng = random.Random(load.seed)
        self._arrivals = load.arrivals(self._rng)
        self._ramp_s = self._arrivals[-1]
        self._expected = load.chats
        self._unasked = load.chats - len(self._arrivals)
        self._stop_at = float("inf")
        self._selector = selectors.DefaultSelector()
        self._idle: list[Client] = []
        self._open: set[Client] = set()
        self._chats: list[Chat] = []

    def run(self) -> Seen:
        began, cpu = time.monotonic(), time.thread_time()
        self._arrivals = [began + each for each in self._arrivals]
        self._stop_at = began + (self._load.stop_after_s or float("inf"))
        watch_at = heard = began
        while len(self._chats) < self._expected:
            now = time.monotonic()
            for key, _ in self._selector.select(self._patience(now)):
                heard = now
                self._read(key.data)
            self._ask_due()
            if now >= watch_at:
                watch_at = now + _WATCH_S
                self._watch()
            if self._open and now - heard > _HUNG_S:
                self._give_up()
        self._close_all()
        took, cpu_s = time.monotonic() - began, time.thread_time() - cpu
        return Seen(self._chats, began, self._ramp_s, took, cpu_s)

    def _patience(self, now: float) -> float:
        return min(_WATCH_S, max(0, self._arrivals[0] - now)) if self._arrivals else _WATCH_S

    def _ask_due(self) -> None:
        while self._arrivals and self._arrivals[0] <= time.monotonic():
            heapq.heappop(self._arrivals)
            try:
                client = self._idle.pop() if self._idle else self._connect()
                client.ask(self._request)
            except OSError as exc:
                self._note(Chat(self._load.tokens, f"{type(exc).__name__} while asking"))
                continue
            self._open.add(client)

    def _connect(self) -> Client:
        client = Client(self._address)
        self._selector.register(client.socket, selectors.EVENT_READ, client)
        return client

    def _read(self, client: Client) -> None:
        try:
            data = client.socket.recv(_READ)
        except OSError:
            data = b""
        if data and client not in self._open:
            self._chats[-1:] = [Chat(self._load.tokens, "bytes after the end")]
            self._leave(client)
        elif not data or client.answer.feed(data, time.monotonic()):
            self._finish(client, stays=bool(data) and client.answer.status == b"200")

    def _finish(self, client: Client, *, stays: bool) -> None:
        if client in self._open:
            self._open.remove(client)
            self._note(client.answer.chat(self._load.tokens))
        if stays:
            self._idle.append(client)
        else:
            self._leave(client)

    def _note(self, chat: Chat) -> None:
        self._chats.append(chat)
        if time.monotonic() > self._stop_at:
            self._expected, self._unasked = self._expected - self._unasked, 0
        if self._unasked > 0:
            self._unasked -= 1
            heapq.heappush(self._arrivals, time.monotonic() + self._load.think_s(self._rng))

    def _leave(self, client: Client) -> None:
        if client in self._idle:
            self._idle.remove(client)
        self._selector.unregister(client.socket)
        client.socket.close()

    def _give_up(self) -> None:
        """Nobody has heard anything for so long: what is open is lost, and what was yet to be asked is not asked."""
        self._chats += [Chat(self._load.tokens, "hung")] * (self._expected - len(self._chats))

    def _close_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()
