"""Requests in raw bytes, mutated: flipped, cut, doubled, spliced, with what parsers dislike put in between."""

import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import httptools

from tests.fuzz.tally import HANG_S, Tally
from tests.fuzz.target import Target
from tests.support.raw import BODY, CHAT, CLOSE, HEALTH, connect, sized

_CLIENTS = 16
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
_SEEDS = [
    CHAT + sized(),
    CHAT + CLOSE + sized(),
    CHAT + _CHUNKED,
    CHAT + b"authorization: Bearer x\r\nx-request-id: 1\r\ntraceparent: 00-%032x-%016x-01\r\n" % (1, 1) + sized(),
    CHAT + b"expect: 100-continue\r\n" + sized(),
    CHAT + b"connection: upgrade\r\nupgrade: h2c\r\n" + sized(),
    CHAT + sized(b'{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"max_tokens":1,"stop":["a"]}'),
    HEALTH + b"\r\n",
    HEALTH + b"\r\n" + HEALTH + b"\r\n",
    b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET http://x/healthz?a=b HTTP/1.0\r\n\r\n",
]
_SCRAPS = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\xff",
        b"\xc3",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"%",
        b"%00",
        b"/../",
    ),
    *(b"{", b"}", b"[" * 500, b'"', b"\\ud800", b"\\u0000", b"NaN", b"1e999", b"9" * 5000, b"-1", b"null", b"true"),
    *(b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"connection: close\r\n", b"upgrade: websocket\r\n"),
    *(b"expect: 100-continue\r\n", b"x-forwarded-for: ,\r\n", b"content-type: text/plain\r\n", b"x: " + b"y" * 5000),
    *(b"HTTP/2.0", b"HTTP/1.0", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"HEAD", b"OPTIONS", b"CONNECT", b"x" * 70_000),
]


def run(target: Target, *, cases: int, seed: int) -> Tally:
    """The same seed sends the same bytes; several clients send them at a time."""
    tally, lock = Tally("raw bytes"), Lock()

    def send(index: int) -> None:
        data = mutated(random.Random(f"{seed}-{index}"))
        start = time.monotonic()
        statuses = _answers(target.url, data)
        with lock:
            tally.inputs += 1
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - start)
            if statuses is None:
                tally.hung(data)
            else:
                tally.answered(statuses, data)

    with ThreadPoolExecutor(_CLIENTS) as clients:
        for _ in clients.map(send, range(cases)):
            pass
    return tally


def mutated(rng: random.Random) -> bytes:
    """One of the seeds, changed up to four times."""
    data = rng.choice(_SEEDS)
    for _ in range(rng.randint(0, 4)):
        start, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        data = rng.choice(_MUTATIONS)(data, start, end, rng)
    return data


def _flipped(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :]


def _without(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:start] + data[min(end, start + 20) :]


def _doubled(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:end] + data[start:end] * rng.randint(1, 3) + data[end:]


def _cut(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:end]


def _spliced(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:start] + rng.choice(_SEEDS)[start:]


def _shuffled(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    rng.shuffle(lines)
    return b"\r\n".join(lines)


def _with_a_scrap(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:start] + rng.choice(_SCRAPS) + data[start:]


_MUTATIONS = [_flipped, _without, _doubled, _cut, _spliced, _shuffled, _with_a_scrap, _with_a_scrap]


def _answers(url: str, data: bytes) -> list[int] | None:
    """The statuses of what came until the first whole answer, or until the server hung up; None for a hang."""
    received, whole = bytearray(), _WholeAnswer()
    try:
        with connect(url) as client:
            client.settimeout(HANG_S)
            client.sendall(data)
            while not whole.has_come and (more := client.recv(65536)):
                received += more
                whole.feed(more)
    except TimeoutError:
        return None
    except (ConnectionError, httptools.HttpParserError):
        pass  # a reset; or the answer to a HEAD, whose body the parser waits for
    return [int(status) for status in re.findall(rb"(?:^|\n|})HTTP/1\.1 (\d{3}) ", received)]


class _WholeAnswer:
    """Whether a final answer has come to its end."""

    def __init__(self) -> None:
        self.has_come = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.has_come = self._parser.get_status_code() >= 200
