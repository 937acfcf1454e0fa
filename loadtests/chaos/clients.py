"""Clients: most read to the end, some disconnect, some stop reading for a while."""

import asyncio
import random
import socket
import time
from contextlib import closing, suppress
from enum import Enum, auto

import aiohttp
from aiohttp.connector import AddrInfoType

from loadtests.chaos.history import Chat, End, History, Plan, set_within
from loadtests.harness.answer import Answer, error_code
from tests.support.service import PATH

LONG_ANSWERS = "openai/gpt-oss-120b"
"""The model that slow readers ask: a short answer would fit into the buffers on the way."""

_BUFFER = 4096
_SEGMENT = 1000
_REFUSALS = {"rows_unavailable", "overloaded", "server_draining"}
_PAUSE_S = (0.2, 6)
_RETRY_AFTER_S = (0.2, 1)


class _Behaviour(Enum):
    READS = auto()
    LEAVES_EARLY = auto()  # before the first byte
    LEAVES_LATE = auto()  # after a few tokens
    PAUSES = auto()


class Client:
    """Asks one chat after the other. Every other client reuses its connection, every twentieth reads slowly."""

    def __init__(self, number: int, *, url: str, plan: Plan, history: History) -> None:
        self._url = url + PATH
        self._plan = plan
        self._history = history
        self._rng = random.Random(f"{plan.seed}:client {number}")
        self._reuses = number % 2 == 0
        self._slow = number % 20 == 19

    async def run(self, over: asyncio.Event) -> None:
        """The last chat is read to its end."""
        connector = aiohttp.TCPConnector(
            force_close=not self._reuses, socket_factory=_small_socket if self._slow else None
        )
        timeout = aiohttp.ClientTimeout(total=self._plan.timeout_s)
        buffer = _BUFFER if self._slow else 2**16
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=buffer) as session:
            while not await set_within(self._rng.uniform(*self._plan.between_chats_s), over):
                chat = self._history.ask()
                chat.end = await self._chat(session, chat)
                chat.ended = time.monotonic()
                if chat.end in (End.REFUSED, End.UNANSWERED):
                    await asyncio.sleep(self._rng.uniform(*_RETRY_AFTER_S))

    async def _chat(self, session: aiohttp.ClientSession, chat: Chat) -> End:
        behaviour = _Behaviour.PAUSES if self._slow else self._rng.choices(list(_Behaviour)[:3], weights=[92, 4, 4])[0]
        chat.slow = self._slow
        answer, end = Answer(), None
        try:
            end = await self._ask(session, chat, answer, behaviour)
        except TimeoutError:
            return End.LEFT if behaviour is _Behaviour.LEAVES_EARLY and not chat.id else End.HUNG
        except aiohttp.ClientError:
            if not chat.id:
                return End.UNANSWERED
        chat.text = answer.text
        if answer.done:
            return End.RECEIPT
        if answer.error_code:
            return End.ERROR
        return end or (End.STALLED if behaviour is _Behaviour.PAUSES else End.CUT)

    async def _ask(
        self, session: aiohttp.ClientSession, chat: Chat, answer: Answer, behaviour: _Behaviour
    ) -> End | None:
        """Reads to the end of the answer, or until this client leaves. None: `answer` has the end."""
        body: dict[str, object] = {"messages": [{"role": "user", "content": chat.client_request_id}]}
        body |= {"model": LONG_ANSWERS} if self._slow else {}
        async with asyncio.timeout(self._rng.uniform(0, 0.05) if behaviour is _Behaviour.LEAVES_EARLY else None):
            response = await session.post(self._url, json=body, headers={"x-request-id": chat.client_request_id})
        with closing(response):
            chat.id = response.headers["x-request-id"]
            chat.streamed = response.status == 200
            if not chat.streamed:
                return End.REFUSED if error_code(await response.read()) in _REFUSALS else End.FAILED
            if behaviour is _Behaviour.LEAVES_EARLY:
                return End.LEFT
            enough = self._rng.randint(1, 8) if behaviour is _Behaviour.LEAVES_LATE else None
            pause_s = self._rng.uniform(*_PAUSE_S) if behaviour is _Behaviour.PAUSES else 0
            async for data in response.content.iter_any():
                answer.feed(data)
                if enough is not None and answer.tokens >= enough:
                    return End.LEFT
                await asyncio.sleep(pause_s)
                pause_s = 0
        return None


def _small_socket(address: AddrInfoType) -> socket.socket:
    """Receives little in advance, in small segments: the sender's kernel sizes its own buffer by them."""
    family, kind, protocol, *_ = address
    small = socket.socket(family, kind, protocol)
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    with suppress(OSError):  # not every kernel lets one choose
        small.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
    return small
