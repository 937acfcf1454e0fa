"""Who asks: most read to the end, some hang up, some stop reading for a while."""

import asyncio
import random
import socket
import time
from contextlib import closing, suppress
from enum import Enum, auto

import aiohttp
from aiohttp.connector import AddrInfoType

from loadtests.chaos.answer import Answer
from loadtests.chaos.diary import Chat, Diary, End, over_within
from loadtests.chaos.plan import Plan
from tests.support.service import PATH

LONG_ANSWERS = "openai/gpt-oss-120b"
"""The model that slow readers ask: a short answer would fit into the buffers on the way."""

_LITTLE_BUFFER = 4096
_LITTLE_SEGMENT = 1000
_REFUSALS = {"rows_unavailable", "overloaded", "server_draining"}
_PAUSE_S = (0.2, 6)
_RETRY_AFTER_S = (0.2, 1)


class _Manner(Enum):
    READS = auto()
    LEAVES_EARLY = auto()  # before the first byte
    LEAVES_LATE = auto()  # after a few events
    PAUSES = auto()


class Client:
    """Asks one chat after the other. Every other client keeps its connection, every twentieth reads slowly."""

    def __init__(self, number: int, *, url: str, plan: Plan, diary: Diary) -> None:
        self._url = url + PATH
        self._plan = plan
        self._diary = diary
        self._rng = random.Random(f"{plan.seed}:client {number}")
        self._keeps_connection = number % 2 == 0
        self._slow = number % 20 == 19

    async def run(self, over: asyncio.Event) -> None:
        """The last chat is read to its end."""
        async with self._session() as session:
            while not await over_within(self._rng.uniform(*self._plan.between_chats_s), over):
                chat = self._diary.ask()
                chat.end = await self._chat(session, chat)
                chat.ended = time.monotonic()
                if chat.end in (End.REFUSED, End.UNANSWERED):
                    await asyncio.sleep(self._rng.uniform(*_RETRY_AFTER_S))

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                force_close=not self._keeps_connection, socket_factory=_little_socket if self._slow else None
            ),
            timeout=aiohttp.ClientTimeout(total=self._plan.patience_s),
            read_bufsize=_LITTLE_BUFFER if self._slow else 2**16,
        )

    async def _chat(self, session: aiohttp.ClientSession, chat: Chat) -> End:
        manner = self._manner()
        chat.slow = manner is _Manner.PAUSES
        early_s = self._rng.uniform(0, 0.05) if manner is _Manner.LEAVES_EARLY else None
        try:
            async with asyncio.timeout(early_s):
                response = await session.post(self._url, json=self._body(chat), headers={"x-request-id": chat.asked_as})
        except TimeoutError:
            return End.HUNG if early_s is None else End.LEFT
        except aiohttp.ClientError:
            return End.UNANSWERED
        with closing(response):  # after its end it has given its connection back
            chat.id = response.headers["x-request-id"]
            return await self._answered(response, chat, manner)

    def _manner(self) -> _Manner:
        if self._slow:
            return _Manner.PAUSES
        manners = [_Manner.LEAVES_EARLY, _Manner.LEAVES_LATE, _Manner.READS]
        return self._rng.choices(manners, weights=[4, 4, 92])[0]

    def _body(self, chat: Chat) -> dict[str, object]:
        body: dict[str, object] = {"messages": [{"role": "user", "content": chat.asked_as}]}
        return body | ({"model": LONG_ANSWERS} if self._slow else {})

    async def _answered(self, response: aiohttp.ClientResponse, chat: Chat, manner: _Manner) -> End:
        answer = Answer()
        chat.streamed = response.status == 200
        try:
            if not chat.streamed:
                return _refused_or_failed(await response.json())
            left = manner is _Manner.LEAVES_EARLY or await self._read(response, answer, manner)
        except TimeoutError:
            return End.HUNG
        except aiohttp.ClientError:
            left = False
        chat.text = answer.text
        if answer.done:
            return End.RECEIPT
        if answer.failed:
            return End.ERROR
        if left:
            return End.LEFT
        return End.STALLED if manner is _Manner.PAUSES else End.CUT

    async def _read(self, response: aiohttp.ClientResponse, answer: Answer, manner: _Manner) -> bool:
        """Until the end of the answer, or until this client has had enough: then it returns True."""
        enough = self._rng.randint(1, 8) if manner is _Manner.LEAVES_LATE else None
        pause_s = self._rng.uniform(*_PAUSE_S) if manner is _Manner.PAUSES else 0
        async for data in response.content.iter_any():
            answer.feed(data)
            if enough is not None and answer.events >= enough:
                return True
            await asyncio.sleep(pause_s)
            pause_s = 0
        return False


def _refused_or_failed(body: dict[str, dict[str, object]]) -> End:
    return End.REFUSED if body["error"]["code"] in _REFUSALS else End.FAILED


def _little_socket(address: AddrInfoType) -> socket.socket:
    """Takes little in advance, and in small segments: by their size the sender's kernel measures its own buffer."""
    family, kind, protocol, *_ = address
    little = socket.socket(family, kind, protocol)
    little.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE_BUFFER)
    with suppress(OSError):  # not every kernel lets one choose
        little.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _LITTLE_SEGMENT)
    return little
