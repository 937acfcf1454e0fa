"""Chats of all kinds, asked for with keys, and counted."""

import json
import socket
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from tests.support.http import client as http_client
from tests.support.service import PATH, SimulatedGroq
from tests.support.serving import Workers

SECRET_PROMPT = "a-word-that-nobody-else-may-read"
SECRET_KEY = "a-key-that-nobody-else-may-see"
KEYS = ",".join(f"client-{number}:{SECRET_KEY}-{number}" for number in range(21))
GUESSED = ("/v1/models", "/v1/models/openai/gpt-oss-20b", f"/page/chats/{UUID(int=0)}")
BODY = {"messages": [{"role": "user", "content": SECRET_PROMPT}]}


class Mix:
    """Asks for chats in every way there is, each on a connection of its own; counts what it asked for."""

    def __init__(self, workers: Workers, groq: SimulatedGroq) -> None:
        self._workers = workers
        self._groq = groq
        self.asked = 0

    def ask(self, client: int = 0, *, fault: dict[str, Any] | None = None, path: str = PATH, **beside: Any) -> int:
        """One chat, read to its end; returns its status."""
        self._groq.recover()
        if fault:
            self._groq.fail(fault)
        return self._post(f"Bearer {SECRET_KEY}-{client}", {**BODY, **beside}, path)

    def ask_without_a_key(self, path: str = PATH) -> int:
        return self._post("Bearer wrong", BODY, path)

    def guess_a_key(self) -> list[int]:
        """Where no chat is asked for, and one that is refused is none."""
        with http_client(headers={"authorization": "Bearer wrong"}) as client:
            return [client.get(self._workers.url + path).status_code for path in GUESSED]

    def leave(self, client: int) -> None:
        """Reads a little, and hangs up."""
        self._groq.fail({"silence_s": 0.5, "after_tokens": 5})
        with self.held(client):
            pass

    def blocked(self, client: int) -> socket.socket:
        """A client that takes nothing of a long answer."""
        self._groq.fail({"tokens_per_s": 20_000, "words": 30_000, "times": 1})
        self.asked += 1
        reader = self.sent(client, json.dumps(BODY).encode())
        reader.recv(100)
        return reader

    def sent(self, client: int, body: bytes) -> socket.socket:
        """A request on a socket of its own."""
        host, port = self._workers.url.removeprefix("http://").split(":")
        sender = socket.socket()
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.connect((host, int(port)))
        head = [f"POST {PATH} HTTP/1.1", "host: x", "content-type: application/json"]
        head += [f"authorization: Bearer {SECRET_KEY}-{client}", f"content-length: {len(body)}", "", ""]
        sender.sendall("\r\n".join(head).encode() + body)
        return sender

    def held(self, client: int) -> ExitStack:
        """A chat that has begun; leaving the stack hangs up."""
        self.asked += 1
        stack = ExitStack()
        http = stack.enter_context(http_client())
        headers = {"authorization": f"Bearer {SECRET_KEY}-{client}"}
        response = stack.enter_context(http.stream("POST", self._workers.url + PATH, json=BODY, headers=headers))
        pieces = response.iter_raw()
        stack.callback(lambda: pieces)  # held: an iterator that is dropped closes the connection
        next(pieces)
        return stack

    def _post(self, authorization: str, body: Any, path: str) -> int:
        self.asked += 1
        with http_client() as client:
            headers = {"authorization": authorization}
            return client.post(self._workers.url + path, json=body, headers=headers).status_code
