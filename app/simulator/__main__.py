"""`python -m app.simulator`: a Groq on a port of its own."""

import argparse
import math
import os
import socket
import sys
from contextlib import suppress

from app.simulator.app import API_PATH, create_simulator, server
from app.simulator.limits import FREE_PLAN

_MAX_PORT = 65_535


def main() -> int:
    """Serves until SIGTERM or SIGINT. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.simulator", description="Serves a simulated Groq.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--free-tier", action="store_true", help="with the rate limits of Groq's free plan")
    parser.add_argument("--tokens-per-s", type=float, help="the speed of all models (default: that of each at Groq)")
    options = parser.parse_args()
    if options.tokens_per_s is not None and not 0 < options.tokens_per_s < math.inf:
        parser.error("--tokens-per-s must be greater than 0")
    if not 0 <= options.port <= _MAX_PORT:
        parser.error(f"--port must be from 0 to {_MAX_PORT}")
    try:
        listener = socket.create_server((options.host, options.port))
    except OSError as exc:
        reason = os.strerror(exc.errno or 0)
        sys.stderr.write(f"port {options.port} cannot be used ({reason}): choose another with --port\n")
        return 1
    app = create_simulator(FREE_PLAN if options.free_tier else None, options.tokens_per_s)
    port = listener.getsockname()[1]
    url = f"http://{options.host}:{port}{API_PATH}"
    sys.stdout.write(f"a simulated Groq: GROQ_API_KEY=any GROQ_BASE_URL={url}\n")
    sys.stdout.flush()
    # uvicorn reports connections that are broken on purpose as errors.
    with suppress(KeyboardInterrupt):  # raised by uvicorn once it has stopped
        server(app, log_level="critical").run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
