"""Reads the settings once, from the environment and `.env`, and explains invalid ones."""

import os

from dotenv import load_dotenv
from pydantic import ValidationError

from app.core.config import Settings

_ENV_FILE = ".env"
_ENV_FILE_WAS_READ = "SETTINGS_ENV_FILE_READ"
_RENAMED = {
    "CHAT_GAP_TIMEOUT_S": "INTER_TOKEN_TIMEOUT_S",
    "CLIENT_STALL_TIMEOUT_S": "CLIENT_WRITE_TIMEOUT_S",
    "GROQ_OPEN_TIMEOUT_S": "GROQ_RETRY_DEADLINE_S",
    "GROQ_RETRY_WAIT_S": "GROQ_RETRY_SLEEP_BUDGET_S",
    "SPOOL_DIR": "OUTBOX_DIR",
    "SPOOL_MAX_BYTES": "OUTBOX_MAX_BYTES",
}
"""Old names of settings. Ignoring them would silently change a deployment."""


def read_settings() -> Settings:
    """Reads the environment, and `.env` once: every worker of a service runs on the same settings.

    `.env` may also have OpenTelemetry's variables. Raises ValidationError, or UnicodeDecodeError for a file that is not
    text.
    """
    if not already_read():
        load_dotenv(_ENV_FILE)
        os.environ[_ENV_FILE_WAS_READ] = _ENV_FILE
    return Settings()


def already_read() -> bool:
    """Whether this service has read its settings before: true in a worker, and in a master that reloads."""
    return _ENV_FILE_WAS_READ in os.environ


def renamed_settings() -> list[str]:
    """One sentence for each setting that has its old name."""
    return [f"{old}: its name is {new} now; see CHANGELOG.md" for old, new in _RENAMED.items() if old in os.environ]


def with_invalid_defaulted(error: ValidationError) -> Settings | None:
    """The settings with defaults for invalid ones, to find further problems; None if there are none to be had."""
    try:
        return Settings(**{name: Settings.model_fields[name].default for name in invalid_settings(error)})
    except ValidationError:  # a setting that is invalid only together with another
        return None


def invalid_settings(error: ValidationError) -> set[str]:
    """The names of the invalid settings."""
    return {str(problem["loc"][0]) for problem in error.errors(include_url=False, include_input=False)}


def explain(error: ValidationError) -> list[str]:
    """One sentence for each invalid setting, without the value, which may be a secret."""
    return [
        f"{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
