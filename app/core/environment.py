"""How settings are read: once, from the environment and `.env`; and what is said of those that are wrong."""

import os

from dotenv import load_dotenv
from pydantic import ValidationError

from app.core.config import Settings

_ENV_FILE = ".env"
_ENV_FILE_WAS_READ = "GROQ_STREAM_ENV_FILE"


def read_settings() -> Settings:
    """The environment, and what `.env` adds to it: read once, so that every worker of a service runs on the same.

    OpenTelemetry's own variables may stand in `.env` as well. Raises ValidationError, or UnicodeDecodeError for a file
    that is no text.
    """
    if not were_read():
        load_dotenv(_ENV_FILE)
        os.environ[_ENV_FILE_WAS_READ] = _ENV_FILE
    return Settings()


def were_read() -> bool:
    """Whether this service has read its settings before: it has where a worker asks, or a master that reloads."""
    return _ENV_FILE_WAS_READ in os.environ


def those_that_are_right(error: ValidationError) -> Settings | None:
    """The settings with defaults for those that are wrong, so that what else is missing can be said as well."""
    try:
        return Settings(**{name: Settings.model_fields[name].default for name in wrong(error)})
    except ValidationError:  # one that is wrong together with another
        return None


def wrong(error: ValidationError) -> set[str]:
    """The names of the settings that are."""
    return {str(problem["loc"][0]) for problem in error.errors(include_url=False, include_input=False)}


def explain(error: ValidationError) -> list[str]:
    """One sentence for each setting that is wrong, without the value, which may be a secret."""
    return [
        f"{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
