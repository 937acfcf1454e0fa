"""The programs of the test, each as it is, and with an endpoint: the service, and the simulated Groq.

`python -m loadtests.leak_test.programs` starts the simulated Groq, with a model for each ending.
"""

import asyncio
import gc
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from types import AsyncGeneratorType, CoroutineType

from fastapi import FastAPI, Response

from app.main import create_app as create_whole_app
from app.services.chat.session import ChatSession
from app.services.groq.stream import GroqStream
from app.simulator.app import API_PATH, create_simulator, server
from app.simulator.models import MODELS
from loadtests.leak_test.endings import ENDINGS

APP = "loadtests.leak_test.programs:create_app()"
INSIDE = "/inside"
CLOSE_IDLE = "/close-idle"


def create_app() -> FastAPI:
    """The service, with the environment's settings. The endpoint counts what lives inside it."""
    app = create_whole_app()
    app.add_api_route(INSIDE, _inside)
    return app


async def _inside() -> dict[str, int]:
    """Tasks, and objects of the types that a chat is made of, after garbage was collected."""
    gc.collect()
    types = Counter(type(each) for each in gc.get_objects())
    return {
        "tasks": len(asyncio.all_tasks()),
        "coroutines": types[CoroutineType],
        "generators": types[AsyncGeneratorType],
        "chats": types[ChatSession],
        "streams": types[GroqStream],
    }


def _serve_groq() -> None:
    """The endpoint closes idle connections, so that those that stay open are those that leaked.

    Were they closed after a time, a request could be sent on one that is just being closed.
    """
    MODELS.update({ending.model: replace(MODELS[ending.kin], name=ending.model) for ending in ENDINGS})
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_simulator()
    simulator = server(app, log_level="critical")

    async def close_idle(_: object) -> Response:
        for connection in list(simulator.server_state.connections):
            connection.shutdown()  # after its response, if it sends one
        return Response()

    app.add_route(CLOSE_IDLE, close_idle, methods=["POST"])
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}", flush=True)
    with suppress(KeyboardInterrupt):
        simulator.run(sockets=[listener])


if __name__ == "__main__":
    _serve_groq()
