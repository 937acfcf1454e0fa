"""`python -m loadtests.leak_test.groq`: the simulated Groq, with a model for each ending.

It closes its idle connections on request, so that those that stay open are those that leaked. Were it to close
them after a time, a request could be sent on one that it is just closing.
"""

import socket
import sys
from contextlib import suppress
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.simulator.app import API_PATH, create_simulator, server
from app.simulator.models import MODELS
from loadtests.leak_test.endings import ENDINGS

CLOSE_PATH = "/close-idle"


def main() -> int:
    MODELS.update({ending.model: replace(MODELS[ending.kin], name=ending.model) for ending in ENDINGS})
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_simulator()
    simulator = server(app, log_level="critical")

    async def close_idle(_: Request) -> Response:
        for connection in list(simulator.server_state.connections):
            connection.shutdown()  # after its response, if it sends one
        return Response()

    app.routes.append(Route(CLOSE_PATH, close_idle, methods=["POST"]))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}", flush=True)
    with suppress(KeyboardInterrupt):
        simulator.run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
