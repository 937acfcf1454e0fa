"""HTTP requests as bytes, mutated: flipped, cut, repeated, spliced, with fragments that parsers may not expect."""

import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import httptools

from tests.fuzz.tally import TIMEOUT_S, Tally
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
_FRAGMENTS = [
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
    """The same seed sends the same bytes, over several connections at a time."""
    tally, lock = Tally("raw bytes"), Lock()

    def send(index: int) -> None:
        data = mutated(random.Random(f"{seed}-{index}"))
        start = time.monotonic()
        statuses = _statuses(target.url, data)
        with lock:
            tally.inputs += 1
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - start)
            if statuses is None:
                tally.add_timeout(data)
            else:
                tally.add_statuses(statuses, data)

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


def _repeated(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:end] + data[start:end] * rng.randint(1, 3) + data[end:]


def _cut(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:end]


def _spliced(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:start] + rng.choice(_SEEDS)[start:]


def _shuffled(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    rng.shuffle(lines)
    return b"\r\n".join(lines)


def _with_fragment(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    return data[:start] + rng.choice(_FRAGMENTS) + data[start:]


_MUTATIONS = [_flipped, _without, _repeated, _cut, _spliced, _shuffled, _with_fragment, _with_fragment]


def _statuses(url: str, data: bytes) -> list[int] | None:
    """The statuses until the first complete response or the end of the connection; None after the timeout."""
    received, response = bytearray(), _Response()
    try:
        with connect(url) as client:
            client.settimeout(TIMEOUT_S)
            client.sendall(data)
            while not response.is_complete and (more := client.recv(65536)):
                received += more
                response.feed(more)
    except TimeoutError:
        return None
    except (ConnectionError, httptools.HttpParserError):
        pass  # a reset; or the response to a HEAD, whose body the parser expects
    return [int(status) for status in re.findall(rb"(?:^|\n|})HTTP/1\.1 (\d{3}) ", received)]


class _Response:
    """Detects the end of a final response."""

    def __init__(self) -> None:
        self.is_complete = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.is_complete = self._parser.get_status_code() >= 200
