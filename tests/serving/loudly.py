"""The service with every logger at its loudest, whatever they are told later."""

import logging

from fastapi import FastAPI

from app.main import create_app as create_whole_app


def create_app() -> FastAPI:
    """With the environment's settings."""
    app = create_whole_app()
    logging.getLogger().setLevel(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    return app
