"""`python -m loadtests.leak_test.groq`: the simulated Groq, with a model for each ending.

It closes idle connections, so that those that stay open are those that leaked; not too soon, as each of them may be the
one that a request is just sent on.
"""

import socket
import sys
from contextlib import suppress
from dataclasses import replace

from app.simulator.app import create_simulator
from app.simulator.models import MODELS
from app.simulator.server import API_PATH, server
from loadtests.leak_test.endings import ENDINGS

_KEEP_ALIVE_S = 2


def main() -> int:
    MODELS.update({ending.model: replace(MODELS[ending.kin], name=ending.model) for ending in ENDINGS})
    listener = socket.create_server(("127.0.0.1", 0))
    simulator = server(create_simulator(), log_level="critical")
    simulator.config.timeout_keep_alive = _KEEP_ALIVE_S
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}", flush=True)
    with suppress(KeyboardInterrupt):
        simulator.run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
